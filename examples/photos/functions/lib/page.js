'use strict';

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Text as HTML may hold it, in elements and in attributes. */
function escape(text) {
  return String(text).replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

function figure({ name, url, thumbnail, size }) {
  const picture = thumbnail
    ? `<img src="${escape(thumbnail)}" alt="">`
    : '<span class="waiting">thumbnail to come</span>';
  return `<figure><a href="${escape(url)}">${picture}</a><figcaption>${escape(name)}, ${size} bytes</figcaption></figure>`;
}

/** The gallery as a page. */
function page(photos) {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Photos</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
  main { display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fill, 200px); }
  figure { margin: 0; }
  figcaption { color: #555; font-size: .8rem; overflow-wrap: anywhere; }
  .waiting { align-items: center; background: #eee; display: flex; height: 130px; justify-content: center; }
</style>
<h1>Photos</h1>
<p><input type="file" accept=".jpg,.jpeg,.png" multiple aria-label="Add photos"></p>
<main>
${photos.map(figure).join('\n') || '<p>None yet.</p>'}
</main>
<script>
  document.querySelector('input').addEventListener('change', async ({ target }) => {
    for (const file of target.files) {
      const answer = await fetch('/photos/' + encodeURIComponent(file.name), { method: 'PUT', body: file });
      if (!answer.ok) alert(file.name + ': ' + (await answer.text()));
    }
    location.reload();
  });
</script>
</html>
`;
}

module.exports = { escape, page };
