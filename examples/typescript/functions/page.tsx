import { allNotes, type Note } from '@/notes';

const List = ({ notes }: { notes: Note[] }) => (
  <ul>
    {notes.map((note) => (
      <li class={note.mood}>{note.text}</li>
    ))}
  </ul>
);

export default {
  async fetch(): Promise<Response> {
    const page = (
      <html>
        <body>
          <h1>Notes</h1>
          <List notes={await allNotes()} />
        </body>
      </html>
    );
    return new Response(`<!doctype html>${page}`, { headers: { 'content-type': 'text/html; charset=utf-8' } });
  },
};
