/**
 * The answers this page has seen, by case, method and budget; the oldest give way.
 * Knows nothing of what is being looked at, nor of the server.
 */

const LIMIT = 2000;

const address = (id, method, budget) => JSON.stringify([id, method, budget]);

export class AnswerCache {
  #answers = new Map();
  #failures = new Map();

  /** Keep a complete answer, or the error that came in its place. */
  keep(id, answer) {
    const at = address(id, answer.method, answer.budget);
    this.#failures.delete(at);
    if (answer.error) {
      this.#failures.set(at, answer);
      return;
    }
    this.#answers.delete(at);
    this.#answers.set(at, { id, answer });
    if (this.#answers.size > LIMIT) this.#answers.delete(this.#answers.keys().next().value);
  }

  answer(id, method, budget) {
    return this.#answers.get(address(id, method, budget))?.answer ?? null;
  }

  failure(id, method, budget) {
    return this.#failures.get(address(id, method, budget)) ?? null;
  }

  /** Drop all answers on a case. */
  forget(id) {
    for (const [at, entry] of this.#answers) if (entry.id === id) this.#answers.delete(at);
  }

  /** Let what failed be tried again. */
  forgive() {
    this.#failures.clear();
  }

  /** Whether this place was tried, with or without success. */
  tried(id, method, budget) {
    return Boolean(this.answer(id, method, budget) ?? this.failure(id, method, budget));
  }

  /** Every complete answer on a case. */
  of(id) {
    const mine = [...this.#answers.values()].filter((entry) => entry.id === id);
    return mine.map((entry) => entry.answer);
  }
}
