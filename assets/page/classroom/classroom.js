/**
 * What a class needs: lessons that drive the page. Fetched when one is opened, and not before.
 */
import { LessonPlayer } from "./lesson/lesson_player.js";
import { lessonPanel } from "./lesson/lesson_panel.js";

const LESSONS = "./gradio_api/page/lessons.json"; // from the address of the page

async function fetchLessons() {
  const reply = await fetch(new URL(LESSONS, document.baseURI));
  if (!reply.ok) throw new Error(`The lessons could not be fetched: ${reply.status}`);
  return reply.json();
}

/**
 * @param {Store} store
 * @param {Address} address
 * @param {HTMLElement} place of the lesson
 * @returns {Promise<{player: LessonPlayer}>}
 */
export async function classroom(store, address, place) {
  const player = new LessonPlayer(store, address);
  player.lessons = await fetchLessons();
  lessonPanel(place, store, player);
  return { player };
}
