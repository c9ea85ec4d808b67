import { db } from 'wakeful';

export enum Mood {
  Calm = 'calm',
  Loud = 'loud',
}

export interface Note {
  text: string;
  mood: Mood;
}

const TABLE = 'CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL, mood TEXT NOT NULL)';

/** What somebody wrote, as it came over the network. */
export class Draft {
  constructor(private readonly given: Partial<Record<keyof Note, unknown>>) {}

  /** The note, if it is one. */
  read(): Note | undefined {
    const { text, mood = Mood.Calm } = this.given;
    const known = Object.values(Mood).find((one) => one === mood);
    return typeof text === 'string' && known !== undefined ? { text, mood: known } : undefined;
  }
}

export async function addNote({ text, mood }: Note): Promise<void> {
  await db('notes').exec(TABLE);
  await db('notes').run('INSERT INTO notes (text, mood) VALUES (?, ?)', [text, mood]);
}

export async function allNotes(): Promise<Note[]> {
  const rows = await db('notes').query<{ n: number }>("SELECT count(*) AS n FROM sqlite_master WHERE name = 'notes'");
  return rows[0].n === 0 ? [] : db('notes').query<Note>('SELECT text, mood FROM notes ORDER BY id');
}
