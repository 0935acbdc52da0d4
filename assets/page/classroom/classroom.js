/**
 * What a class needs: lessons that drive the page, the page on a projector, and tokens that leave
 * layer by layer. Fetched when one of them is opened, and not before.
 */
import { LayerAnimation } from "./animation/layer_animation.js";
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
 * @param {function(string): function} wayOf gives the way to the server of a name
 */
export async function classroom(store, address, place, wayOf) {
  const presentation = new Presentation(store); // Escape leaves it before it leaves a lesson
  const player = new LessonPlayer(store, address);
  player.lessons = await fetchLessons();
  lessonPanel(place, store, player);
  const film = new LayerAnimation(store, document.querySelector("#vt-film"));
  const asking = { guess: player, animation: film };
  for (const [name, part] of Object.entries(asking)) part.connect(wayOf(name));
  return { player, presentation, film, receive: (name, reply) => asking[name].receive(reply) };
}
