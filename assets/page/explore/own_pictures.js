/**
 * The visitor's own pictures, for as long as this tab of the browser lives: a reload opens them anew,
 * and so does Back. Kept by the browser (sessionStorage) and by nobody else.
 */

const LIST = "explorer.pictures"; // their names, the oldest first
const SIDE = 2048; // pixels that the server would scale a larger picture down to
const QUALITY = 0.95;

const place = (name) => `explorer.picture.${name}`;
const truths = (name) => `explorer.truths.${name}`;

function names() {
  try {
    return JSON.parse(sessionStorage.getItem(LIST)) ?? [];
  } catch {
    return []; // storage is forbidden here
  }
}

const asUrl = (blob) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });

/** The same picture in fewer bytes. */
async function smaller(blob) {
  const image = await createImageBitmap(blob);
  const scale = Math.min(1, SIDE / Math.max(image.width, image.height));
  const canvas = new OffscreenCanvas(image.width * scale, image.height * scale);
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

/** Store a text; older pictures give way to it. Tells whether there was room. */
function stored(name, text) {
  const others = names().filter((each) => each !== name);
  for (;;) {
    try {
      sessionStorage.setItem(place(name), text);
      sessionStorage.setItem(LIST, JSON.stringify([...others, name]));
      return true;
    } catch {
      if (!others.length) return false;
      const oldest = others.shift();
      for (const at of [place(oldest), truths(oldest)]) sessionStorage.removeItem(at);
    }
  }
}

/** Keep a picture under the name that the server has given it. */
export async function keep(name, blob) {
  if (stored(name, await asUrl(blob))) return;
  stored(name, await asUrl(await smaller(blob)));
}

/** Right answers to questions about a picture, by question. */
export function toldAbout(name) {
  try {
    return JSON.parse(sessionStorage.getItem(truths(name))) ?? {};
  } catch {
    return {};
  }
}

/** Keep what the visitor has said is right; "" takes it back. */
export function keepTruth(name, question, truth) {
  const told = toldAbout(name);
  if (!names().includes(name) || (told[question] ?? "") === truth) return;
  sessionStorage.setItem(truths(name), JSON.stringify({ ...told, [question]: truth }));
}

/** Upload a kept picture again: the path under which the server has it, "" where it is gone. */
export async function uploadAgain(name) {
  const text = names().includes(name) ? sessionStorage.getItem(place(name)) : null;
  if (!text) return { path: "", blob: null };
  const blob = await (await fetch(text)).blob();
  const form = new FormData();
  form.append("files", blob, `picture.${blob.type.split("/").at(-1)}`);
  const to = new URL("./gradio_api/upload", document.baseURI);
  const reply = await fetch(to, { method: "POST", body: form });
  const [path] = reply.ok ? await reply.json() : [""];
  return { path, blob };
}
