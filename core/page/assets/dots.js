// The connections of the lanes, as dots. A dot that changes its lane flies there.

import { calm, dark } from "./dom.js";

const widest = 18, narrowest = 5; // in pixels, from dot to dot
const flight = 750, scatter = 600; // milliseconds that a dot flies, and within which they start
const fade = 250;
const blink = 90; // milliseconds from frame to frame if nothing flies: requests need no more
const mostDots = 96;

// scaleOf returns how many connections a dot stands for: 1, 2, 5, 10 and so on.
function scaleOf(connections) {
  for (let unit = 1; ; unit *= 10) for (const n of [1, 2, 5]) if (connections / (n * unit) <= mostDots) return n * unit;
}

export class Dots {
  constructor(canvas, field) {
    this.canvas = canvas;
    this.field = field;
    this.paint = canvas.getContext("2d");
    this.dots = [];
    this.lanes = new Map();
    this.places = new Map(); // of the pools, by lane
    this.scale = 1;
    new ResizeObserver(() => this.measure(true)).observe(field);
    for (const query of [calm, dark]) query.addEventListener("change", () => this.start());
  }

  // show takes the lanes and how many connections have moved. It returns the scale.
  show(lanes, moves) {
    const scale = scaleOf(lanes.reduce((n, l) => n + l.open, 0));
    const jump = scale !== this.scale || this.lanes.size === 0;
    this.scale = scale;
    this.lanes = new Map(lanes.map((l) => [l.key, l]));
    for (const key of this.places.keys()) if (!this.lanes.has(key)) this.places.delete(key);
    const now = performance.now();
    const spare = [], missing = [];
    for (const lane of lanes) {
      lane.want = Math.ceil(lane.open / scale);
      const have = this.dots.filter((d) => d.lane === lane.key && !d.gone);
      spare.push(...have.slice(lane.want));
      for (let i = have.length; i < lane.want; i++) missing.push(lane);
    }
    spare.push(...this.dots.filter((d) => !d.gone && !this.lanes.has(d.lane)));
    // Those that have moved fly. The others are closed connections and new ones.
    for (let fly = jump ? 0 : Math.ceil(moves / scale); fly > 0 && spare.length && missing.length; fly--) {
      const dot = spare.pop(), lane = missing.shift();
      Object.assign(dot, { lane: lane.key, fromX: dot.x, fromY: dot.y, from: dot.colour, began: now + Math.random() * scatter, bend: Math.random() - 0.5 });
      dot.flies = !calm.matches;
    }
    for (const dot of spare) Object.assign(dot, { gone: true, began: now });
    for (const lane of missing) this.dots.push({ lane: lane.key, born: jump || calm.matches ? -Infinity : now + Math.random() * 200, colour: lane.colour });
    this.measure(false);
    this.start();
    return scale;
  }

  // measure finds the place of each dot.
  measure(redraw) {
    const box = this.field.getBoundingClientRect();
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(box.width * ratio) || this.canvas.height !== Math.round(box.height * ratio)) {
      this.canvas.width = Math.round(box.width * ratio);
      this.canvas.height = Math.round(box.height * ratio);
      this.canvas.style.width = `${box.width}px`;
      this.canvas.style.height = `${box.height}px`;
    }
    this.ratio = ratio;
    for (const lane of this.lanes.values()) {
      const pool = lane.pool.getBoundingClientRect();
      const mine = this.dots.filter((d) => d.lane === lane.key && !d.gone);
      let step = widest, rows = 1;
      for (; step > narrowest; step -= 0.5) {
        rows = Math.max(1, Math.floor(pool.height / step));
        if (rows * Math.floor(pool.width / step) >= mine.length) break;
      }
      const top = pool.top - box.top + (pool.height - (rows - 1) * step) / 2;
      // A lane that has another place takes its dots along.
      const place = { x: pool.left - box.left, y: pool.top - box.top }, old = this.places.get(lane.key) ?? place;
      this.places.set(lane.key, place);
      for (const d of mine) {
        d.x += place.x - old.x;
        d.y += place.y - old.y;
      }
      mine.forEach((d, i) => {
        d.toX = pool.left - box.left + step / 2 + Math.floor(i / rows) * step;
        d.toY = top + (i % rows) * step;
        d.radius = step * 0.31;
        d.colour = lane.colour;
      });
    }
    if (redraw) this.frame(performance.now()); // at once: the canvas is empty
  }

  start() {
    this.asked ||= requestAnimationFrame((t) => this.frame(t));
  }

  frame(now) {
    this.asked = 0;
    const { paint, canvas, ratio } = this;
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.clearRect(0, 0, canvas.width, canvas.height);
    let busy = false;
    for (const d of this.dots) busy = this.draw(d, now) || busy;
    this.dots = this.dots.filter((d) => !d.gone || (!calm.matches && now - d.began < fade));
    if (busy) this.start();
    else if (this.twinkle(now)) this.later ||= setTimeout(() => { this.later = 0; this.start(); }, blink);
  }

  // draw draws a dot, and returns whether it has not arrived.
  draw(d, now) {
    let alpha = 1, size = d.radius ?? 0, fill = d.colour, busy = false;
    if (Number.isNaN(d.x ?? NaN)) {
      d.x = d.toX;
      d.y = d.toY;
    }
    if (d.gone) {
      alpha = Math.max(0, 1 - (now - d.began) / fade);
      busy = true;
    } else if (d.born > now - fade) {
      alpha = Math.max(0, (now - d.born) / fade);
      busy = true;
    }
    if (d.flies) {
      const part = Math.min(1, Math.max(0, (now - d.began) / flight));
      const eased = part < 0.5 ? 4 * part ** 3 : 1 - (-2 * part + 2) ** 3 / 2;
      const arc = Math.sin(Math.PI * eased);
      d.x = d.fromX + (d.toX - d.fromX) * eased + arc * d.bend * 160;
      d.y = d.fromY + (d.toY - d.fromY) * eased;
      size *= 1 + 0.7 * arc;
      if (part < 0.5) fill = d.from;
      if (part === 1) d.flies = false;
      busy = true;
    } else if (d.toX !== undefined && !d.gone) {
      const near = Math.abs(d.x - d.toX) + Math.abs(d.y - d.toY) < 0.5;
      d.x = near || calm.matches ? d.toX : d.x + (d.toX - d.x) * 0.25;
      d.y = near || calm.matches ? d.toY : d.y + (d.toY - d.y) * 0.25;
      busy ||= !near;
      if (d.lit > now) size *= 1.35;
    }
    this.paint.globalAlpha = alpha * (d.lit > now || d.flies ? 1 : 0.78);
    this.paint.fillStyle = fill;
    this.paint.beginPath();
    this.paint.arc(d.x, d.y, size, 0, 2 * Math.PI);
    this.paint.fill();
    return busy;
  }

  // twinkle lights a dot now and then, the more often the more requests come.
  twinkle(now) {
    if (calm.matches) return false;
    const rate = [...this.lanes.values()].reduce((n, l) => n + l.rate, 0);
    if (rate < 0.5) return false;
    if (now > (this.next ?? 0)) {
      const lit = this.dots.filter((d) => !d.gone && !d.flies && this.lanes.get(d.lane)?.rate > 0.5);
      for (let i = 0; i < 1 + lit.length / 20; i++) {
        const d = lit[Math.floor(Math.random() * lit.length)];
        if (d) d.lit = now + 2 * blink;
      }
      this.next = now + Math.min(1000, 1000 / rate);
    }
    return true;
  }
}
