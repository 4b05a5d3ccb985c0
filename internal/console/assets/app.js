// Comfort on top of pages that work without it. Nothing here decides anything.

// Copy buttons, and showing a password: both are hidden until script runs.
for (const b of document.querySelectorAll('[data-copy],[data-reveal]')) b.hidden = false;

document.addEventListener('click', async (event) => {
  const copy = event.target.closest('[data-copy]');
  if (copy) {
    const text = copy.parentElement.querySelector('code').textContent;
    try {
      await navigator.clipboard.writeText(text);
      say(copy.dataset.copied);
      copy.classList.add('done');
      setTimeout(() => copy.classList.remove('done'), 1600);
    } catch {
      getSelection().selectAllChildren(copy.parentElement.querySelector('code'));
    }
  }
  const reveal = event.target.closest('[data-reveal]');
  if (reveal) {
    const input = document.getElementById(reveal.dataset.reveal);
    const show = input.type === 'password';
    input.type = show ? 'text' : 'password';
    reveal.querySelector('.sr').textContent = show ? reveal.dataset.hide : reveal.dataset.show;
    reveal.setAttribute('aria-pressed', String(show));
    input.focus();
  }
  // A click elsewhere closes open menus.
  for (const menu of document.querySelectorAll('details[data-menu][open]')) {
    if (!menu.contains(event.target) && !event.target.closest('.side')) menu.open = false;
  }
});

// A form is sent once. A page that comes back from the history can be sent again.
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (form.method === 'get' || event.defaultPrevented) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = 'true';
  if (event.submitter) event.submitter.classList.add('busy');
});
addEventListener('pageshow', () => {
  for (const form of document.querySelectorAll('form[data-sent]')) delete form.dataset.sent;
  for (const b of document.querySelectorAll('.busy')) b.classList.remove('busy');
});

// Choosing rows of a table: a box for all, and a bar with their number.
document.addEventListener('change', (event) => {
  const form = event.target.closest('form[data-bulk]');
  if (!form) return;
  const boxes = [...form.querySelectorAll('tbody input[type=checkbox]')];
  if (event.target.matches('[data-all]')) for (const b of boxes) b.checked = event.target.checked;
  const n = boxes.filter((b) => b.checked).length;
  form.classList.toggle('chosen', n > 0);
  const count = form.querySelector('[data-count]');
  if (count) count.textContent = String(n);
});

// The command palette is a page of its own; with script it opens over this one.
const finder = document.querySelector('[data-palette]');
let dialog;
async function palette() {
  if (!finder) return;
  if (!dialog) {
    dialog = document.createElement('dialog');
    dialog.className = 'palette-dialog';
    dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener('keydown', move);
    document.body.append(dialog);
  }
  const answer = await fetch(finder.href, { headers: { 'HX-Request': 'true' }, credentials: 'same-origin' });
  if (!answer.ok) { location.href = finder.href; return; }
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  dialog.replaceChildren(page.querySelector('[data-palette-body]'));
  dialog.showModal();
  window.htmx?.process(dialog);
  dialog.querySelector('input[type=search]').focus();
}
function move(event) {
  const links = [...dialog.querySelectorAll('a')];
  const at = links.indexOf(document.activeElement);
  if (event.key === 'ArrowDown') links[Math.min(at + 1, links.length - 1)]?.focus();
  else if (event.key === 'ArrowUp') (at <= 0 ? dialog.querySelector('input[type=search]') : links[at - 1]).focus();
  else if (event.key === 'Enter' && at < 0) links[0]?.click();
  else return;
  event.preventDefault();
}
document.addEventListener('keydown', (event) => {
  const typing = event.target.closest('input,textarea,select,[contenteditable]');
  if (event.key.toLowerCase() === 'k' && (event.metaKey || event.ctrlKey) || event.key === '/' && !typing) {
    if (!finder) return;
    event.preventDefault();
    palette();
  }
  if (event.key === 'Escape') for (const menu of document.querySelectorAll('details[data-menu][open]')) {
    menu.open = false;
    menu.querySelector('summary').focus();
  }
});
finder?.addEventListener('click', (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  palette();
});

// The side bar of narrow screens.
const toggle = document.querySelector('.side-toggle');
toggle?.addEventListener('toggle', () => document.body.classList.toggle('side-open', toggle.open));

// One live region for short news.
const live = document.createElement('div');
live.className = 'sr';
live.setAttribute('role', 'status');
document.body.append(live);
function say(text) { live.textContent = ''; setTimeout(() => { live.textContent = text; }, 50); }

// Parts that htmx has just put in have their buttons too.
document.addEventListener('htmx:after:swap', () => {
  for (const b of document.querySelectorAll('[data-copy],[data-reveal]')) b.hidden = false;
});

// A link into a closed part opens it.
function reach() {
  const there = location.hash === '' ? null : document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (there?.matches('details')) { there.open = true; there.scrollIntoView(); }
}
addEventListener('hashchange', reach);
reach();
