// Brain maps that a reader can move, on a page without a server or a network.
//
// A page holds <div class="neuro-atlas"> with its options as JSON; data are scripts that put base64 text
// into window.NEUROATLAS_DATA, because a page opened from a disk may load scripts and may not fetch files.
// Maps are NIfTI images of bytes (neurolib/atlas/viewer.py), the decoder is what Decoder.pack wrote
// (neurolib/atlas/decoder.py). Everything above `Pane` works without a page, so node can test it.
"use strict";
const NeuroAtlas = (() => {
  const inPage = typeof document !== "undefined";
  const here = inPage && document.currentScript ? document.currentScript.src.replace(/[^/]*$/, "") : "";

  // ---- data -------------------------------------------------------------------------------------
  function bytes(text) { // base64 whose alphabet has no slash
    const raw = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
  }
  async function gunzip(packed) {
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  }
  const scripts = {};
  const script = (address) => scripts[address] ??= new Promise((done, failed) => {
    const tag = Object.assign(document.createElement("script"), { src: address, onload: done });
    tag.onerror = () => failed(new Error(`${address} is not in this copy of the book`));
    document.head.append(tag);
  });
  const opened = {}; // what was unpacked, by key: viewers of one page share the template
  const data = (key) => opened[key] ??= (async () => {
    const store = window.NEUROATLAS_DATA ??= {};
    if (!(key in store)) await script(`${here}viewer_data/${key}.js`);
    const text = store[key];
    delete store[key]; // megabytes that nobody reads again
    return gunzip(bytes(text));
  })();

  // A volume has x fastest, as NIfTI has: value of voxel (i, j, k) at i + X * (j + Y * k).
  class Volume {
    constructor(shape, mm, origin, values) { Object.assign(this, { shape, mm, origin, values }); }
    index(xyz) {
      const [i, j, k] = xyz.map((at, axis) => Math.round((at - this.origin[axis]) / this.mm));
      const [X, Y, Z] = this.shape;
      return i < 0 || j < 0 || k < 0 || i >= X || j >= Y || k >= Z ? -1 : i + X * (j + Y * k);
    }
    at(xyz) { return this.values[this.index(xyz)] ?? 0; }
  }

  class Stack { // frames of bytes with slope and intercept
    constructor(buffer) {
      const head = new DataView(buffer), short = (at) => head.getInt16(at, true), float = (at) => head.getFloat32(at, true);
      this.shape = [short(42), short(44), short(46)];
      this.frames = short(40) > 3 ? short(48) : 1;
      this.mm = float(80);
      this.origin = [float(292), float(308), float(324)];
      this.slope = float(112);
      this.intercept = float(116);
      this.codes = new Uint8Array(buffer, float(108));
      this.size = this.shape[0] * this.shape[1] * this.shape[2];
    }
    volume(frame) {
      const codes = this.codes.subarray(frame * this.size, (frame + 1) * this.size);
      return new Volume(this.shape, this.mm, this.origin, Float32Array.from(codes, (code) => code * this.slope + this.intercept));
    }
  }
  const stack = async (key) => new Stack(await data(key));

  // ---- the decoder ------------------------------------------------------------------------------
  class Decoder {
    constructor(manifest, buffer) {
      const kinds = { int8: Int8Array, int16: Int16Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array };
      const array = (name) => {
        const place = manifest.arrays[name];
        return place && new kinds[place.dtype](buffer, place.at, place.n);
      };
      this.manifest = manifest;
      this.logBase = array("log_base");
      this.layers = manifest.widths.slice(1).map((_, i) =>
        Object.fromEntries(["weight", "scale", "bias", "gain", "shift"].map((part) => [part, array(`${i}.${part}`)])));
      // Nodes lie on every other voxel. A voxel's value is the mean of eight, some of them the same.
      const [X, Y, Z] = manifest.shape, [, NY, NZ] = manifest.node_shape, mask = array("mask");
      const number = new Map([...array("nodes")].map((node, i) => [node, i]));
      const near = [], at = [];
      for (let i = 0, bit = 0; i < X; i++) for (let j = 0; j < Y; j++) for (let k = 0; k < Z; k++, bit++) {
        if (!(mask[bit >> 3] >> (7 - (bit & 7)) & 1)) continue;
        at.push(i + X * (j + Y * k));
        for (let corner = 0; corner < 8; corner++) {
          const [a, b, c] = [[i, corner >> 2], [j, corner >> 1], [k, corner]].map(([n, up]) => (n >> 1) + (n & up & 1));
          near.push(number.get((a * NY + b) * NZ + c));
        }
      }
      this.near = Int32Array.from(near);
      this.voxels = Int32Array.from(at);
    }
    // Nats above the density of all foci, one value per voxel of the brain.
    ratio(z, condition = []) {
      let x = Float32Array.from([...z, ...condition]);
      for (const { weight, scale, bias, gain, shift } of this.layers) {
        const y = new Float32Array(bias.length), n = x.length;
        for (let o = 0, w = 0; o < y.length; o++) {
          let sum = 0;
          for (let i = 0; i < n; i++) sum += weight[w++] * x[i];
          y[o] = sum * scale[o] + bias[o];
        }
        if (gain) normalise(y, gain, shift, this.manifest.eps);
        x = y;
      }
      const out = new Float32Array(this.voxels.length);
      let total = 0;
      for (let v = 0, n = 0; v < out.length; v++) {
        let sum = 0;
        for (const end = n + 8; n < end; n++) sum += x[this.near[n]];
        out[v] = sum / 8;
        total += Math.exp(this.logBase[v] + out[v]);
      }
      const log = Math.log(total);
      for (let v = 0; v < out.length; v++) out[v] -= log;
      return out;
    }
    map(z, condition, reference) {
      const { shape, voxel_mm, origin_mm } = this.manifest, inside = this.ratio(z, condition);
      const from = reference && this.ratio(z, reference);
      const values = new Float32Array(shape[0] * shape[1] * shape[2]);
      inside.forEach((value, v) => { values[this.voxels[v]] = from ? value - from[v] : value; });
      return new Volume(shape, voxel_mm, origin_mm, values);
    }
  }
  function normalise(y, gain, shift, eps) { // layer norm, then SiLU
    const n = y.length, mean = y.reduce((a, b) => a + b, 0) / n;
    const sd = Math.sqrt(y.reduce((a, b) => a + (b - mean) ** 2, 0) / n + eps);
    for (let i = 0; i < n; i++) {
      const h = (y[i] - mean) / sd * gain[i] + shift[i];
      y[i] = h / (1 + Math.exp(-h));
    }
  }

  // What topics say of a place: p(t|v), and how much more often than usual others are reported with it.
  function together(topics, prior, index) {
    const weight = topics.map((topic, t) => prior[t] * Math.exp(topic.values[index]));
    const total = weight.reduce((a, b) => a + b, 0), share = weight.map((value) => value / total);
    const sum = new Float32Array(topics[0].values.length);
    topics.forEach((topic, t) => {
      if (share[t] < 0.003) return; // adds less than the step of a byte
      for (let v = 0; v < sum.length; v++) sum[v] += share[t] * (topic.values[v] ? Math.exp(topic.values[v]) : 1);
    });
    const kept = share.reduce((a, b) => a + (b < 0.003 ? 0 : b), 0);
    return { share, values: sum.map((value) => Math.log(value / kept)) };
  }

  // ---- colours: the same stops as neurolib/viz/brain.py ------------------------------------------
  const STOPS = {
    above: [[253, 200, 110], [235, 110, 40], [150, 10, 40]],
    below: [[150, 215, 235], [50, 125, 200], [40, 30, 120]],
    sequential: [[70, 20, 110], [200, 60, 100], [252, 225, 130]],
  };
  function colour(name, t) { // 0 <= t <= 1 to red, green, blue, opacity; what is near zero lets the brain through
    const place = Math.min(t, 0.9999) * 2, i = Math.floor(place), [a, b] = [STOPS[name][i], STOPS[name][i + 1]];
    return [...a.map((c, k) => Math.round(c + (b[k] - c) * (place - i))), Math.round(235 * Math.min(1, t / 0.3))];
  }
  function table(diverging) { // 256 colours from -limit to limit, or from 0
    return Array.from({ length: 256 }, (_, i) => {
      const t = diverging ? (i - 127.5) / 127.5 : i / 255;
      return colour(diverging ? (t < 0 ? "below" : "above") : "sequential", Math.abs(t));
    });
  }

  // ---- one brain: three slices, colour bar, and NiiVue on demand ----------------------------------
  const make = (tag, props = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), props);
    element.append(...children);
    return element;
  };
  const signed = (value) => (value < 0 ? "−" : "") + Math.abs(value);
  const VIEWS = [["axial", 0, 1, 2], ["coronal", 0, 2, 1], ["sagittal", 1, 2, 0]]; // right, up, through
  const AXES = "xyz";

  class Pane {
    constructor(scene, { title, unit = "nats", limit, points = [], diverging = true }) {
      Object.assign(this, { scene, unit, limit, points, frame: 0, diverging, colours: table(diverging) });
      this.canvases = VIEWS.map(([name, right, up, through]) => {
        const canvas = make("canvas", { tabIndex: 0 });
        canvas.setAttribute("role", "application"); // a screen reader passes its arrow keys on
        canvas.setAttribute("aria-label", `${name} slice${title ? ` of ${title}` : ""}. Arrow keys move the crosshair, Page up and Page down the slice.`);
        const move = (event) => {
          const box = canvas.getBoundingClientRect(), { low, high } = scene, at = [...scene.at];
          at[right] = low[right] + (event.clientX - box.left) / box.width * (high[right] - low[right]);
          at[up] = high[up] - (event.clientY - box.top) / box.height * (high[up] - low[up]);
          scene.move(at);
        };
        canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); move(event); });
        canvas.addEventListener("pointermove", (event) => event.buttons && move(event));
        canvas.addEventListener("keydown", (event) => {
          const step = { ArrowLeft: [right, -1], ArrowRight: [right, 1], ArrowDown: [up, -1], ArrowUp: [up, 1], PageDown: [through, -1], PageUp: [through, 1] }[event.key];
          if (!step) return;
          event.preventDefault(); // the page would scroll
          const at = [...scene.at];
          at[step[0]] += step[1] * 4;
          scene.move(at);
        });
        return canvas;
      });
      const size = VIEWS.map(([, right, up]) => [right, up].map((axis) => scene.high[axis] - scene.low[axis]));
      this.slices = make("div", { className: "na-slices" }, ...this.canvases);
      this.canvases.forEach((canvas, i) => { canvas.style.flexGrow = size[i][0]; canvas.style.aspectRatio = size[i].join("/"); });
      this.bar = make("div", { className: "na-bar" });
      this.three = make("button", { type: "button", textContent: "3-D", title: "Turn the brain, drawn by NiiVue (2.3 MB)", onclick: () => this.toggle() });
      const foot = make("div", { className: "na-foot" }, this.bar, ...(points.length ? [this.legend()] : []), this.three);
      this.element = make("div", { className: "na-pane" }, ...(title ? [make("div", { className: "na-title", textContent: title })] : []), this.slices, foot);
    }
    legend() {
      return make("span", { className: "na-legend" }, ...this.points.map(({ label }, i) => {
        const dot = make("i");
        dot.style.background = DOTS[i % DOTS.length];
        return make("span", {}, dot, label);
      }));
    }
    show(volume, limit = this.limit) {
      this.volume = volume;
      if (limit !== this.barLimit) this.scale(limit);
      this.scene.draw();
      if (this.nv) this.update3d();
    }
    scale(limit) {
      this.limit = this.barLimit = limit;
      const stops = this.colours.filter((_, i) => i % 15 === 0).map(([r, g, b, a]) => `rgba(${r},${g},${b},${a / 255})`);
      const ramp = make("span", { className: "na-ramp" }), end = Number(limit.toPrecision(2));
      ramp.style.background = `linear-gradient(to right,${stops}),#8a8a8a`;
      this.bar.replaceChildren(this.diverging ? signed(-end) : "0", ramp, `${this.diverging ? "+" : ""}${end} ${this.unit}`);
    }
    draw() {
      const { scene, volume } = this;
      const ink = getComputedStyle(this.element).color, ratio = window.devicePixelRatio || 1;
      this.canvases.forEach((canvas, i) => {
        const [, right, up, through] = VIEWS[i], { low, high, at } = scene;
        const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
        if (!width || !height) return;
        if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
        const pen = canvas.getContext("2d"), scale = width / (high[right] - low[right]);
        const px = (mm) => (mm - low[right]) * scale, py = (mm) => (high[up] - mm) * scale;
        const paint = (image, paintVoxel) => { // a slice as a small picture, stretched to millimetres
          const [w, h] = [image.shape[right], image.shape[up]], layer = make("canvas", { width: w, height: h });
          const k = Math.round((at[through] - image.origin[through]) / image.mm), step = [1, image.shape[0], image.shape[0] * image.shape[1]];
          if (k < 0 || k >= image.shape[through]) return;
          const brush = layer.getContext("2d"), pixels = brush.createImageData(w, h);
          for (let v = 0, p = 0; v < h; v++) for (let u = 0; u < w; u++, p += 4) {
            paintVoxel(image.values[u * step[right] + (h - 1 - v) * step[up] + k * step[through]], pixels.data, p);
          }
          brush.putImageData(pixels, 0, 0);
          const edge = image.mm / 2; // the origin is the centre of a voxel
          pen.drawImage(layer, px(image.origin[right] - edge), py(image.origin[up] + h * image.mm - edge), w * image.mm * scale, h * image.mm * scale);
        };
        pen.clearRect(0, 0, width, height);
        pen.imageSmoothingQuality = "high";
        paint(scene.template, (value, out, p) => {
          out[p] = out[p + 1] = out[p + 2] = 45 + 195 * value;
          out[p + 3] = value < 0.08 ? 0 : 255;
        });
        if (volume) {
          pen.globalCompositeOperation = "source-atop"; // the map stays inside the brain
          const factor = this.diverging ? 127.5 / this.limit : 255 / this.limit, zero = this.diverging ? 127.5 : 0;
          paint(volume, (value, out, p) => {
            if (value) out.set(this.colours[Math.max(0, Math.min(255, Math.round(zero + value * factor)))], p);
          });
          pen.globalCompositeOperation = "source-over";
        }
        this.points.forEach(({ xyz }, group) => {
          pen.fillStyle = DOTS[group % DOTS.length];
          pen.strokeStyle = "#fff";
          for (const point of xyz) {
            if (Math.abs(point[through] - at[through]) > 6 || (point.length > 3 && point[3] !== this.frame)) continue;
            pen.beginPath();
            pen.arc(px(point[right]), py(point[up]), Math.min(2.6 * ratio, 2.2 * scale), 0, 7);
            pen.fill();
            pen.stroke();
          }
        });
        pen.strokeStyle = "#00a67d";
        pen.lineWidth = ratio;
        const [x, y, gap] = [px(at[right]), py(at[up]), 4 * ratio];
        pen.beginPath();
        for (const [a, b, c, d] of [[0, y, x - gap, y], [x + gap, y, width, y], [x, 0, x, y - gap], [x, y + gap, x, height]]) {
          pen.moveTo(a, b);
          pen.lineTo(c, d);
        }
        pen.stroke();
        pen.fillStyle = ink;
        pen.font = `${11 * ratio}px system-ui, sans-serif`;
        pen.fillText(`${AXES[through]} = ${signed(Math.round(at[through]))}`, 2 * ratio, height - 3 * ratio);
        const [left, rightEnd] = right === 0 ? ["L", "R"] : ["P", "A"];
        pen.fillText(left, 2 * ratio, 11 * ratio);
        pen.fillText(rightEnd, width - 10 * ratio, 11 * ratio);
      });
    }
    // NiiVue is large, so it comes only when asked for; where it or WebGL is missing the slices stay.
    async toggle() {
      const flat = this.slices.hidden;
      if (!flat && !this.nv) {
        this.three.disabled = true;
        try { await this.open3d(); } catch (error) {
          this.three.replaceWith(make("span", { className: "na-quiet", textContent: `no 3-D view here: ${error.message}` }));
          return;
        }
        this.three.disabled = false;
      }
      this.slices.hidden = !flat;
      this.box3d.hidden = flat;
      this.three.textContent = flat ? "3-D" : "slices";
      if (flat) this.scene.draw(); else this.nv.resizeListener();
    }
    async open3d() {
      if (!document.createElement("canvas").getContext("webgl2")) throw new Error("the browser has no WebGL 2");
      await script(`${here}niivue.umd.js`);
      if (!window.niivue) throw new Error("the book was built without NiiVue");
      const canvas = make("canvas");
      canvas.setAttribute("aria-label", "the same map, drawn by NiiVue");
      this.box3d = make("div", { className: "na-three" }, canvas); // NiiVue fills its parent
      this.slices.after(this.box3d);
      const nv = new window.niivue.Niivue({ backColor: [0, 0, 0, 1], heroImageFraction: 0.6, heroSliceType: 4, tileMargin: 2, isOrientationTextVisible: false, crosshairWidth: 0.5, crosshairColor: [0, 0.65, 0.49, 1], dragAndDropEnabled: false, loadingText: "", logLevel: "silent", isOrientCube: false, multiplanarShowRender: 1, show3Dcrosshair: true, yoke3Dto2DZoom: true });
      await nv.attachToCanvas(canvas);
      for (const name of Object.keys(STOPS)) {
        const at = [0, 64, 128, 192, 255], rows = at.map((i) => colour(name, i / 255));
        nv.addColormap(`na-${name}`, { R: rows.map((c) => c[0]), G: rows.map((c) => c[1]), B: rows.map((c) => c[2]), A: at.map((i) => i && 235), I: at });
      }
      await nv.loadFromArrayBuffer(asNifti(this.scene.template), "template.nii");
      await nv.loadFromArrayBuffer(asNifti(this.volume), "map.nii");
      nv.onLocationChange = ({ mm }) => this.scene.move([...mm].slice(0, 3), this);
      this.nv = nv;
      this.update3d();
    }
    update3d() {
      const { nv, limit } = this, map = nv.volumes[1];
      map.img.set(this.volume.values);
      // type 2: colours from zero to the limit, and what is below cal_min fades out
      Object.assign(map, { colormapType: 2, cal_min: 0.3 * limit, cal_max: limit, cal_minNeg: -limit, cal_maxNeg: -0.3 * limit });
      map.colormap = this.diverging ? "na-above" : "na-sequential";
      map.colormapNegative = this.diverging ? "na-below" : "";
      nv.updateGLVolume();
    }
    follow3d(at) {
      this.nv.scene.crosshairPos = this.nv.mm2frac(at);
      this.nv.drawScene();
    }
  }
  const DOTS = ["#111111", "#00a67d", "#e69f00"];

  function asNifti({ shape, mm, origin, values }) { // single precision, for NiiVue
    const buffer = new ArrayBuffer(352 + 4 * values.length), head = new DataView(buffer);
    head.setInt32(0, 348, true);
    [3, ...shape, 1, 1, 1, 1].forEach((n, i) => head.setInt16(40 + 2 * i, n, true));
    head.setInt16(70, 16, true);
    head.setInt16(72, 32, true);
    [1, mm, mm, mm, 1].forEach((n, i) => head.setFloat32(76 + 4 * i, n, true));
    [352, 1, 0].forEach((n, i) => head.setFloat32(108 + 4 * i, n, true));
    head.setInt16(254, 4, true);
    origin.forEach((start, axis) => {
      head.setFloat32(280 + 16 * axis + 4 * axis, mm, true);
      head.setFloat32(280 + 16 * axis + 12, start, true);
    });
    [110, 43, 49].forEach((letter, i) => head.setUint8(344 + i, letter));
    new Float32Array(buffer, 352).set(values);
    return buffer;
  }

  class Scene { // panes that share a crosshair
    constructor(element, template, options) {
      this.template = template.volume(0);
      this.at = options.at ?? [0, 0, 0];
      [this.low, this.high] = [-1, 1].map((side) => [0, 1, 2].map((axis) => this.edge(axis, side)));
      this.panes = [];
      this.listeners = [];
      this.row = make("div", { className: "na-panes" });
      this.readout = make("div", { className: "na-readout" });
      this.readout.setAttribute("aria-live", "polite");
      this.controls = make("div", { className: "na-controls" });
      element.append(this.row, this.readout, this.controls);
      if (options.note) element.append(make("p", { className: "na-note", textContent: options.note }));
      new ResizeObserver(() => this.draw()).observe(this.row);
      new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    }
    edge(axis, side) { // where the brain begins and ends, so that no room is lost
      const { shape, mm, origin, values } = this.template, step = [1, shape[0], shape[0] * shape[1]][axis];
      let far = side < 0 ? shape[axis] : 0;
      for (let v = 0; v < values.length; v++) {
        if (values[v] > 0.1) { const i = Math.floor(v / step) % shape[axis]; far = side < 0 ? Math.min(far, i) : Math.max(far, i); }
      }
      return origin[axis] + far * mm + side * 6;
    }
    add(options) {
      const pane = new Pane(this, options);
      this.panes.push(pane);
      this.row.append(pane.element);
      return pane;
    }
    move(at, from) {
      this.at = at.map((value, axis) => Math.max(this.low[axis], Math.min(this.high[axis], value)));
      this.draw();
      for (const pane of this.panes) if (pane.nv && pane !== from) pane.follow3d(this.at);
      this.listeners.forEach((listen) => listen(this.at));
    }
    draw() { // once a frame, however often a slider fires
      this.waiting ??= requestAnimationFrame(() => {
        this.waiting = undefined;
        this.panes.forEach((pane) => pane.draw());
        const place = this.at.map((value, axis) => `${AXES[axis]} ${signed(Math.round(value))}`).join(", ");
        const values = this.panes.filter((pane) => pane.volume).map((pane) => {
          const value = pane.volume.at(this.at);
          return `${pane.diverging && value > 0 ? "+" : ""}${signed(Number(value.toFixed(2)))} ${pane.unit}`;
        });
        this.readout.textContent = `${place} mm: ${values.join(" | ")}`;
      });
    }
  }

  // ---- the demos ----------------------------------------------------------------------------------
  const range = (props, label) => {
    const input = make("input", { type: "range", ...props }), output = make("output");
    return { input, output, row: make("label", { className: "na-row" }, make("span", { textContent: label }), input, output) };
  };
  const button = (text, onclick) => make("button", { type: "button", textContent: text, onclick });
  const choice = (label, names, onchange) => {
    const select = make("select", { onchange }, ...names.map((name) => make("option", { textContent: name })));
    return { select, row: make("label", { className: "na-choice" }, label, select) };
  };

  async function slider(scene, o) {
    const pane = scene.add({ unit: o.unit, limit: Math.max(...o.dimensions.map((d) => d.limit_nats ?? 0)) });
    const z = new Float32Array(o.manifest.n_latent), rows = [];
    let decoder, asked = 0;
    const conditions = o.conditions ?? [];
    const chosen = choice("condition", conditions.map((c) => c.label), () => redraw());
    const against = choice("compared with", ["all foci", ...conditions.map((c) => c.label)], () => redraw());
    async function redraw(moved) {
      rows.forEach(({ input, output, number }) => { input.value = z[number]; output.textContent = signed(Number(z[number].toFixed(1))); });
      if (decoder) {
        const c = conditions[chosen.select.selectedIndex]?.c, reference = conditions[against.select.selectedIndex - 1]?.c;
        return pane.show(decoder.map(z, c, reference));
      }
      const mine = ++asked, dimension = moved ?? o.dimensions[0];
      const maps = await stack(dimension.data);
      if (mine === asked) pane.show(maps.volume(Math.round((z[dimension.number] - o.z[0]) / (o.z[1] - o.z[0]))));
    }
    const ends = { min: o.z[0], max: o.z.at(-1) };
    for (const dimension of o.dimensions) {
      const row = range({ ...ends, step: o.z[1] - o.z[0], value: 0, disabled: !dimension.data }, `z${dimension.number}: ${dimension.label}`);
      row.input.addEventListener("input", () => {
        const value = Number(row.input.value);
        if (!decoder) z.fill(0); // the maps at hand move one dimension at a time
        z[dimension.number] = value;
        redraw(dimension);
      });
      rows.push({ ...row, number: dimension.number });
    }
    const reset = button("reset", () => { z.fill(0); redraw(); });
    const random = button("random draw", () => {
      for (let i = 0; i < z.length; i++) z[i] = Math.max(ends.min, Math.min(ends.max, Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())));
      redraw();
    });
    const load = button(`move all ${z.length} dimensions together (loads ${o.decoder_mb} MB)`, async () => {
      load.disabled = true;
      load.textContent = "loading …";
      try { decoder = new Decoder(o.manifest, await data(o.decoder)); } catch (error) {
        load.textContent = `not loaded: ${error.message}`;
        return;
      }
      rows.forEach(({ input }) => Object.assign(input, { disabled: false, step: 0.1 }));
      load.replaceWith(random, ...(conditions.length > 1 ? [chosen.row, against.row] : []));
      more.open = true;
      redraw();
    });
    const first = rows.slice(0, 8), others = rows.slice(8);
    const more = make("details", {}, make("summary", { textContent: `${others.length} more dimensions` }), make("div", { className: "na-rows" }, ...others.map((r) => r.row)));
    scene.controls.append(make("div", { className: "na-rows" }, ...first.map((r) => r.row)), ...(others.length ? [more] : []), make("div", { className: "na-buttons" }, load, reset));
    z[o.dimensions[0].number] = 2; // a map with nothing in it would say little
    await redraw();
  }

  async function frames(scene, o) {
    const stacks = await Promise.all(o.panes.map((p) => stack(p.data)));
    const panes = o.panes.map((p, i) => scene.add({ ...p, diverging: stacks[i].intercept < 0 }));
    const { input, output, row } = range({ min: 0, max: o.labels.length - 1, step: 1, value: o.start }, o.word);
    const redraw = () => {
      const frame = Number(input.value);
      output.textContent = o.labels[frame];
      input.setAttribute("aria-valuetext", o.labels[frame]);
      panes.forEach((pane, i) => { pane.frame = frame; pane.show(stacks[i].volume(Math.min(frame, stacks[i].frames - 1))); });
    };
    input.addEventListener("input", redraw);
    if (o.labels.length > 1) scene.controls.append(row);
    redraw();
  }

  async function voxel(scene, o) {
    const maps = await stack(o.data), topics = o.labels.map((_, t) => maps.volume(t));
    const others = await Promise.all(o.values.map(async (v) => ({ label: v.label, map: (await stack(v.data)).volume(0) })));
    const pane = scene.add({ unit: o.unit ?? "nats", limit: o.limit }), rows = make("div", { className: "na-table" });
    scene.controls.append(rows);
    const brain = new Uint8Array(topics[0].values.length);
    topics.forEach(({ values }) => values.forEach((value, v) => { if (value) brain[v] = 1; }));
    const nearest = (at) => { // a named point is a hint, not a parcellation: its distance is said
      const found = (o.places ?? []).map(({ name, xyz }) => [Math.hypot(...xyz.map((x, k) => x - at[k])), name]).sort((a, b) => a[0] - b[0])[0];
      return found && `Nearest named region: ${found[1]}, ${Math.round(found[0])} mm away`;
    };
    const read = (at) => {
      const index = topics[0].index(at);
      if (!brain[index]) return;
      const { share, values } = together(topics, o.prior, index);
      pane.show(new Volume(maps.shape, maps.mm, maps.origin, values.map((value, v) => brain[v] ? value : 0)));
      const best = share.map((p, t) => [p, t]).sort((a, b) => b[0] - a[0]).slice(0, 8);
      const place = nearest(at);
      rows.replaceChildren(...(place ? [make("p", { className: "na-note", textContent: place })] : []), ...best.map(([p, t]) => {
        const bar = make("i");
        bar.style.width = `${100 * p / best[0][0]}%`;
        return make("div", { className: "na-row" }, make("span", { textContent: o.labels[t] }), make("span", { className: "na-share" }, bar), make("output", { textContent: `${(100 * p).toFixed(1)} %` }));
      }), ...others.map(({ label, map }) => make("div", { className: "na-row" }, make("span", { textContent: label }), make("span"), make("output", { textContent: signed(Number(map.at(at).toPrecision(3))) }))));
    };
    scene.listeners.push(read);
    read(scene.at);
  }

  const KINDS = { slider, frames, voxel };
  async function mount(element, options) {
    element.classList.add("neuro-atlas");
    try {
      const scene = new Scene(element, await stack(options.template), options);
      await KINDS[options.kind](scene, options);
      if (options.first === "niivue") await scene.panes[0].toggle();
      element.dataset.ready = "yes";
      return scene;
    } catch (error) {
      element.append(make("p", { className: "na-note", textContent: `The viewer cannot be shown: ${error.message}.` }));
      throw error;
    }
  }
  if (inPage) {
    const start = () => document.querySelectorAll(".neuro-atlas").forEach((element) => {
      const options = element.querySelector("script[type='application/json']");
      if (options && !element.dataset.mounted) { element.dataset.mounted = "yes"; mount(element, JSON.parse(options.textContent)); }
    });
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
  }
  return { mount, Decoder, Stack, Volume, together, gunzip, bytes };
})();
if (typeof module === "object") module.exports = NeuroAtlas;
