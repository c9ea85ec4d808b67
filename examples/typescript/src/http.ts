/** What handlers get, as far as this application uses it: requests and answers as in Express. */
export interface Request {
  body?: Record<string, unknown>;
}

export interface Response {
  status(code: number): this;
  json(value: unknown): void;
}
