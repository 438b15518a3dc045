/**
 * Makes the widgets of a page live. A page has no kernel, so this hands each widget a model that keeps its state here,
 * and fetches the weights that it asks for. Everything is loaded by script elements, which work from a folder too.
 */
(() => {
  const folder = /** @type {HTMLScriptElement} */ (document.currentScript).src.replace(/[^/]*$/, "");
  const nsvae = /** @type {any} */ (globalThis).nsvae;
  /** Packed weights by the name of their model, as text; their files put them here. @type {Record<string, string>} */
  nsvae.packed = {};

  /** @param {string} base64 */
  const decoded = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

  /** @type {Record<string, Promise<Uint8Array>>} */
  const loading = {};

  /** Weights of a model that comes with the library. @param {string} name */
  function load(name) {
    loading[name] ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${folder}${name}.js`;
      script.onload = () => resolve(decoded(nsvae.packed[name]));
      script.onerror = () => {
        delete loading[name];
        reject(new Error(`cannot load ${script.src}`));
      };
      document.head.append(script);
    });
    return loading[name];
  }

  /**
   * The part of anywidget's model that widgets use.
   * @param {Record<string, any>} state
   * @param {Record<string, string>} models
   */
  function modelOf(state, models) {
    const target = new EventTarget();
    return {
      get: (/** @type {string} */ name) => state[name],
      set(/** @type {string} */ name, /** @type {any} */ value) {
        state[name] = value;
        target.dispatchEvent(new Event(`change:${name}`));
      },
      save_changes() {},
      on: (/** @type {string} */ event, /** @type {() => void} */ callback) => target.addEventListener(event, callback),
      off: (/** @type {string} */ event, /** @type {() => void} */ callback) =>
        target.removeEventListener(event, callback),
      load: (/** @type {string} */ name) => load(models[name]),
    };
  }

  /** @param {HTMLElement} figure */
  async function enliven(figure) {
    const text = /** @type {HTMLElement} */ (figure.querySelector('script[type="application/json"]')).textContent;
    const { widget, state, models } = JSON.parse(text ?? "", (_, v) =>
      v?.base64 === undefined ? v : decoded(v.base64),
    );
    const el = document.createElement("div");
    await nsvae[widget].render({ model: modelOf(state, models), el });
    figure.append(el);
    figure.classList.add("ns-live");
  }

  // A widget far down the page costs nothing until the reader comes near.
  const near = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        enliven(/** @type {HTMLElement} */ (target)).catch((error) => console.error(error));
      }
    },
    { rootMargin: "600px" },
  );
  for (const figure of document.querySelectorAll("figure.nsvae-widget")) near.observe(figure);
})();
