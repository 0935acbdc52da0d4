/**
 * What a student has guessed, by lesson and step. Kept by his browser for as long as its tab lives
 * (sessionStorage) and by nobody else. Knows nothing of what a guess is about.
 */

const PLACE = "explorer.lesson.";

/** The guesses of a lesson, by the number of their step. */
export function guessesOf(lesson) {
  try {
    return JSON.parse(sessionStorage.getItem(PLACE + lesson)) ?? {};
  } catch {
    return {}; // storage is forbidden here
  }
}

/** Write down one guess: {said, right, ...}. */
export function note(lesson, step, guess) {
  const all = { ...guessesOf(lesson), [step]: guess };
  try {
    sessionStorage.setItem(PLACE + lesson, JSON.stringify(all));
  } catch {
    // forbidden or full: the guess is forgotten with the page
  }
  return all;
}

/** Forget all guesses of a lesson. */
export function tear(lesson) {
  try {
    sessionStorage.removeItem(PLACE + lesson);
  } catch {
    // there is none where storage is forbidden
  }
  return {};
}
