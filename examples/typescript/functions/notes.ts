import type { Request, Response } from '@/http';
import { addNote, allNotes, Draft } from '@/notes';

export async function list(_req: Request, res: Response): Promise<void> {
  res.json(await allNotes());
}

export async function add(req: Request, res: Response): Promise<void> {
  const note = new Draft(req.body ?? {}).read();
  if (note === undefined) {
    res.status(400).json({ error: 'a note has a text, and a mood that is calm or loud' });
    return;
  }
  await addNote(note);
  res.status(201).json(note);
}
