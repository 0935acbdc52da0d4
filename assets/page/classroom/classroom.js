/**
 * What a class needs: lessons that drive the page, and the page on a projector. Fetched when one of
 * them is opened, and not before.
 */
import { LessonPlayer } from "./lesson/lesson_player.js";
import { lessonPanel } from "./lesson/lesson_panel.js";
import { Presentation } from "./presentation/presentation.js";

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
 * @returns {Promise<{player: LessonPlayer, presentation: Presentation}>}
 */
export async function classroom(store, address, place) {
  const presentation = new Presentation(store); // Escape leaves it before it leaves a lesson
  const player = new LessonPlayer(store, address);
  player.lessons = await fetchLessons();
  lessonPanel(place, store, player);
  return { player, presentation };
}
