import {
  GIB, basisTag, checkbox, code, combobox, duration, field, gib, h, inApp, interval, listen, milliseconds, mount, number,
  numberBox, percent, select, short, table, tokens, uid, usd, watchKernel, whole,
} from "./shared.js";
import { addressBook } from "./parts/address.js";
import { asking, replies } from "./parts/asking.js";
import { chartPlace } from "./parts/chart.js";
import { csvButton, printButton } from "./parts/download.js";
import { doublings, form, problemPlace } from "./parts/form.js";
import { onPaper } from "./parts/paper.js";
import { presetField, serviceFields, serviceWords, workloadFields, workloadWords } from "./parts/workload.js";

// The planner: choices left, answer right. The page keeps a draft of the choice, sends it whole, and draws
// whatever answer comes back. Python does the arithmetic and refuses what cannot be.

const parts = [
  ["weights", "Weights"],
  ["activation_peak", "Activations"],
  ["non_torch", "Outside PyTorch"],
  ["cuda_graphs", "CUDA graphs"],
  ["kv_cache", "KV cache"],
];

const titles = {
  starts: "Fits",
  max_model_len_too_large: "Does not start: the context is too long",
  no_kv_cache: "Does not start: no room for the KV cache",
  oom_loading: "Does not fit: the weights are too big",
  oom_cuda_graphs: "Does not start: CUDA graphs run out of memory",
  unsupported: "Not supported",
};

const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

// ---- pieces of the answer ------------------------------------------------------------------------------

function headline(value, unit, label, estimate, format) {
  const range = estimate ? interval(estimate, format) : "";
  return h(
    "div",
    { class: "wb-headline" },
    h("p", { class: "wb-value" }, value, unit ? h("small", {}, ` ${unit}`) : null),
    h("p", { class: "wb-name" }, label),
    range && range !== "exact" ? h("p", { class: "wb-range" }, range) : null,
  );
}

function headlines(plan, length, engine) {
  const { memory, performance } = plan;
  const list = [];
  if (!plan.fits) {
    if (memory?.weights) list.push(headline(gib(memory.weights.value), "GiB", "weights on each GPU", memory.weights, gib));
    if (memory?.requested != null) list.push(headline(gib(memory.requested), "GiB", `${engine} may use of each GPU`));
    if (memory?.kv_cache_tokens) list.push(headline(short(memory.kv_cache_tokens.value), "tokens", "room in the KV cache", memory.kv_cache_tokens, short));
    return list;
  }
  list.push(headline(short(memory.kv_cache_tokens.value), "tokens", "KV cache", memory.kv_cache_tokens, short));
  list.push(headline(`${number(memory.max_concurrency.value)}×`, "", `requests of ${tokens(length)} at once`, memory.max_concurrency, number));
  if (performance?.tpot) {
    const ms = (s) => number(s * 1000);
    list.push(headline(ms(performance.tpot.value), "ms", "per output token", performance.tpot, ms));
    list.push(headline(short(performance.output_tokens_per_s.value), "tok/s", "output, all requests", performance.output_tokens_per_s, short));
  }
  if (performance?.usd_per_million_tokens)
    list.push(headline(usd(performance.usd_per_million_tokens.value), "", "per million output tokens", performance.usd_per_million_tokens, usd));
  else if (performance?.ttft) list.push(headline(duration(performance.ttft.value), "", "to the first token", performance.ttft, duration));
  return list;
}

// What the pointer or the keyboard is on is told under the bar: its size, where it comes from, what that rests on.
function explained(element, text, how) {
  const show = () => { how.textContent = text; how.classList.add("wb-told"); };
  const hide = () => { how.textContent = how.dataset.usual; how.classList.remove("wb-told"); };
  element.tabIndex = 0;
  element.addEventListener("pointerenter", show);
  element.addEventListener("pointerleave", hide);
  element.addEventListener("focus", show);
  element.addEventListener("blur", hide);
  return element;
}

function memoryBar(memory, gpu, explanations, engine) {
  const values = parts.map(([key]) => Math.max(memory[key]?.value ?? 0, 0));
  const used = values.reduce((a, b) => a + b, 0);
  const scale = Math.max(memory.capacity, used, memory.requested);
  const x = (bytes) => `${(bytes / scale) * 100}%`;
  const over = used > memory.capacity;
  const usual = explanations.kv_cache_tokens ? `KV cache: ${explanations.kv_cache_tokens}` : "";
  const how = h("p", { class: "wb-how", "aria-live": "polite", "data-usual": usual }, usual);
  const part = (key, name, value, basis, className, style) => {
    const element = h("div", { class: `wb-part ${className}`, style });
    const told = explanations[key];
    if (!told) return element;
    const text = `${name}, ${gib(value)} GiB (${basis}): ${told}`;
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", text);
    return explained(element, text, how);
  };
  const free = memory.capacity - Math.max(used, 0);
  const label =
    `Memory of ${gpu}: ` +
    parts.map(([key, name], i) => (values[i] ? `${name} ${gib(values[i])} GiB` : null)).filter(Boolean).join(", ") +
    `; ${engine} may use ${gib(memory.requested)} of ${gib(memory.capacity)} GiB`;
  // Shifted by its own share of its own width, the text stays inside at both ends.
  const share = (memory.requested / scale) * 100;
  const marks = h(
    "div",
    { class: "wb-marks", "aria-hidden": "true" },
    memory.requested < memory.capacity && h(
      "span",
      { class: "wb-mark", style: `left:${share}%;transform:translateX(-${share}%)` },
      `${engine} may use ${gib(memory.requested)} GiB (${percent(memory.requested / memory.capacity)})`,
    ),
  );
  return h(
    "figure",
    { class: "wb-figure" },
    h(
      "div",
      { class: "wb-bar", role: "group", "aria-label": label },
      parts.map(([key, name], i) => (values[i] ? part(key, name, values[i], memory[key].basis, `wb-${key}`, `width:${x(values[i])}`) : null)),
      free > 0 && explanations.free ? part("free", "Free", free, "calibrated", "wb-free", `width:${x(free)}`) : null,
      over ? h("div", { class: "wb-over", style: `left:${x(memory.capacity)}` }) : null,
      memory.requested < memory.capacity ? h("div", { class: "wb-line wb-line-budget", style: `left:${x(memory.requested)}` }) : null,
      over ? h("div", { class: "wb-line wb-line-capacity", style: `left:${x(memory.capacity)}` }) : null,
    ),
    marks,
    h(
      "figcaption",
      { class: "wb-scale" },
      h("span", {}, "0"),
      over
        ? h("span", { class: "wb-bad" }, `${gib(used)} GiB needed, the card has ${gib(memory.capacity)} GiB`)
        : h("span", {}, `${gpu}: ${gib(memory.capacity)} GiB`),
    ),
    explanations.kv_cache ? how : null,
  );
}

function memoryTable(memory, where) {
  const rows = parts.filter(([key]) => memory[key] && (memory[key].value !== 0 || memory[key].high !== 0)).map(([key, name]) => ({ key, name, estimate: memory[key] }));
  return table(
    [
      { title: where, header: true, cell: (r) => [h("span", { class: `wb-swatch wb-${r.key}`, "aria-hidden": "true" }), r.name] },
      { title: "GiB", right: true, cell: (r) => (r.estimate.value < 0 ? h("span", { class: "wb-bad" }, `${gib(-r.estimate.value)} short`) : gib(r.estimate.value)) },
      { title: "90 % interval", right: true, cell: (r) => h("span", { class: "wb-muted" }, r.estimate.value < 0 ? "" : interval(r.estimate, gib)) },
      { title: "Share", right: true, cell: (r) => h("span", { class: "wb-muted" }, percent(Math.max(r.estimate.value, 0) / memory.capacity)) },
      { title: "Rests on", right: true, cell: (r) => basisTag(r.estimate.basis) },
    ],
    rows,
    { className: "wb-memory" },
  );
}

function speedTable(performance, workload) {
  const rows = [
    ["Time to first token", performance.ttft, duration],
    ["Time per output token", performance.tpot, milliseconds],
    ["Output tokens per second", performance.output_tokens_per_s, number],
    ["USD per million output tokens", performance.usd_per_million_tokens, usd],
  ].filter(([, estimate]) => estimate);
  return table(
    [
      { title: `${tokens(workload.isl)} in, ${tokens(workload.osl)} out, ${whole(workload.concurrency)} at once`, header: true, cell: (r) => r[0] },
      { title: "Estimate", right: true, cell: (r) => r[2](r[1].value) },
      { title: "90 % interval", right: true, cell: (r) => h("span", { class: "wb-muted" }, interval(r[1], r[2])) },
      { title: "Rests on", right: true, cell: (r) => basisTag(r[1].basis) },
    ],
    rows,
    { className: "wb-speed" },
  );
}

// ---- what is asked, what is taken along ------------------------------------------------------------------

const asked = {
  ttft: ["to the first token", duration, "at most"],
  tpot: ["per output token", milliseconds, "at most"],
  output_tokens_per_s: ["output tokens/s", whole, "at least"],
};

function askedLines(lines, percentile) {
  const of = percentile === 50 ? "" : ` for ${percentile} % of requests`;
  return h(
    "ul",
    { class: "wb-service" },
    lines.map((line) => {
      const [what, format, bound] = asked[line.field];
      return h(
        "li",
        { "data-met": String(line.met) },
        h("span", { class: "wb-icon", "aria-hidden": "true" }, line.met ? "✓" : "✕"),
        h("span", {}, `${format(line.value)} ${what}${line.field === "output_tokens_per_s" ? "" : of}; asked: ${bound} ${format(line.asked)}`, h("span", { class: "wb-hidden" }, line.met ? ", met" : ", missed")),
      );
    }),
  );
}

function bestSentence(best, chosen) {
  if (!best) return "The service level is met with no number of requests at once.";
  const speed = `${whole(best.output_tokens_per_s.value)} tokens/s`;
  if (best.concurrency === chosen) return `The service level is met, with the highest rate at just these ${whole(chosen)} requests at once: ${speed}.`;
  return `The service level is met up to about ${whole(best.concurrency)} requests at once: ${speed}.`;
}

const schemeName = (plan) => plan.deployment.quantization ?? "as the checkpoint is";

/** What was chosen, in words: on paper there are no controls. */
function chosenLines(got, choice) {
  const { deployment, workload, engine_version, model } = got.plan;
  return [
    ["Model", model],
    ["Hardware", `${whole(deployment.tensor_parallel_size * deployment.pipeline_parallel_size * deployment.data_parallel_size)} × ${got.card}`],
    ["Engine", `${got.engine} ${engine_version}, weights ${schemeName(got.plan)}, KV cache ${deployment.kv_cache_dtype}`],
    ["Context length", `${whole(got.max_model_len)} tokens`],
    ["Workload", workloadWords(workload)],
    ["Service level", serviceWords(choice)],
  ];
}

/** The plan's figures as rows of a table. */
function figureRows(got, choice) {
  const { plan } = got;
  const rows = [["figure", "value", "low", "high", "unit", "rests on"]];
  for (const [name, text] of chosenLines(got, choice)) rows.push([name, text]);
  rows.push(["Verdict", titles[plan.verdict] ?? plan.verdict]);
  const add = (name, estimate, unit, scale = 1) => estimate && rows.push([name, estimate.value / scale, estimate.low / scale, estimate.high / scale, unit, estimate.basis]);
  for (const [key, name] of parts) add(name, plan.memory?.[key], "GiB", GIB);
  add("KV cache, tokens", plan.memory?.kv_cache_tokens, "tokens");
  add("Requests of full length at once", plan.memory?.max_concurrency, "requests");
  add("Time to first token", plan.performance?.ttft, "s");
  add("Time per output token", plan.performance?.tpot, "s");
  add("Output tokens per second", plan.performance?.output_tokens_per_s, "tokens/s");
  add("Per million output tokens", plan.performance?.usd_per_million_tokens, "USD");
  add("List price", plan.usd_per_hour, "USD/h");
  return rows;
}

function curveRows(points) {
  const names = ["ttft", "tpot", "output_tokens_per_s", "usd_per_million_tokens"];
  const units = { ttft: " [s]", tpot: " [s]", output_tokens_per_s: "", usd_per_million_tokens: "" };
  return [
    ["concurrency", ...names.flatMap((name) => [`${name}${units[name]}`, `${name}_low`, `${name}_high`]), "meets"],
    ...points.map((point) => [point.concurrency, ...names.flatMap((name) => [point[name]?.value, point[name]?.low, point[name]?.high]), point.meets]),
  ];
}

// ---- the panel -----------------------------------------------------------------------------------------

function panel(root, model, context) {
  root.classList.add("wb-planner");
  const options = model.get("options");
  const defaults = options.defaults;
  const useUrl = model.get("url") && inApp();
  const watch = watchKernel(model, root);
  const ask = asking(model, watch, defaults);
  const { draft, change } = ask;
  const controls = form(change);
  const { fields, set, simple } = controls;

  // -- choices
  const picker = (name, label, choices, hint) => {
    const control = combobox((value) => {
      if (value === OWN) openOwn(name);
      else change(name === "gpu" ? { gpu: value, own_gpu: null } : { model: value, config: null });
    });
    const element = field(label, control, { hint });
    fields[name] = { root: element, show: control.show, choices };
    return element;
  };
  const OWN = "\u0000own";
  const gpuChoices = [...options.gpus, { value: OWN, label: "Your own GPU …", detail: "memory, bandwidth, TFLOPS", search: "own custom other" }];
  const modelChoices = [...options.models, { value: OWN, label: "Your own config.json …", detail: "paste or drop a file", search: "own custom paste file" }];

  const counts = [1, 2, 4, 8].map((n) => ({ value: n, label: String(n) }));
  const parallelField = controls.segments("tensor_parallel_size", "GPUs (tensor parallel)", counts);

  // Another engine loads other formats and lacks some settings: what it does not have goes back to its default.
  const engineOf = (name) => options.engines.find((engine) => engine.value === name) ?? options.engines[0];
  function chooseEngine(name) {
    const next = engineOf(name);
    const fresh = Object.fromEntries(next.lacks.map((field) => [field, defaults[field]]));
    if (!next.schemes.some((scheme) => scheme.value === draft().quantization) || (next.scheme && draft().quantization == null)) fresh.quantization = next.scheme;
    if (!next.kv_dtypes.some((kind) => kind.value === draft().kv_cache_dtype)) fresh.kv_cache_dtype = "auto";
    change({ ...fresh, engine: name, engine_version: null });
    showEngine();
  }
  const showEngine = () => {
    const engine = engineOf(draft().engine);
    fields.quantization.choices = engine.schemes;
    fields.kv_cache_dtype.choices = engine.kv_dtypes;
    if (fields.engine_version) fields.engine_version.choices = engine.versions;
    for (const [name, { root: element }] of Object.entries(fields)) if (name in defaults) element.hidden = engine.lacks.includes(name);
  };

  const length = controls.slider("max_model_len", "Context length", doublings(512, 131072), { unit: "tokens" });
  const preset = presetField(options.presets, change, draft);

  const utilization = h("input", { type: "range", class: "wb-slider", min: 0.5, max: 0.99, step: 0.01, id: uid("utilization") });
  const utilizationText = h("output", { for: utilization.id });
  utilization.addEventListener("input", () => change({ gpu_memory_utilization: Number(utilization.value) }));
  utilization.show = (value) => {
    utilization.value = value ?? options.engine_defaults.gpu_memory_utilization;
    utilizationText.textContent = Number(utilization.value).toFixed(2);
    utilization.style.setProperty("--wb-fill", `${((utilization.value - 0.5) / 0.49) * 100}%`);
  };

  const gibBox = () => {
    const box = numberBox((value) => change({ kv_cache_memory_bytes: value == null ? null : Math.round(value * GIB) }), { min: 0, step: 0.5, placeholder: "what is left" });
    const show = box.show;
    box.show = (bytes) => show(bytes == null ? null : bytes / GIB);
    return box;
  };

  const defaultOf = (name) => {
    const value = options.engine_defaults[name];
    return value == null ? "the engine’s default" : `${value} (the engine’s default)`;
  };
  const share = (name, label, placeholder) => simple(name, label, numberBox(set(name), { min: 0.05, max: 1, step: 0.01, placeholder }));
  const eager = controls.check("enforce_eager", "Without CUDA graphs (enforce eager)");
  const prefix = checkbox("Prefix caching", set("enable_prefix_caching"));
  controls.add("enable_prefix_caching", prefix, (value) => prefix.show(value ?? true)); // on, unless said otherwise

  const choices = h(
    "form",
    { class: "wb-card wb-choices", "aria-label": "Choices", onsubmit: (event) => event.preventDefault() },
    picker("model", "Model", modelChoices),
    ownModel(),
    picker("gpu", "GPU", gpuChoices),
    ownGpu(),
    simple("engine", "Engine", select(options.engines, chooseEngine)),
    parallelField,
    simple("quantization", "Quantisation", select(options.schemes, set("quantization"))),
    length,
    preset,
    ...workloadFields(controls),
    serviceFields(controls, options.percentiles),
    h(
      "details",
      { class: "wb-more wb-engine" },
      h("summary", {}, "More engine options"),
      simple("kv_cache_dtype", "KV cache type", select(options.kv_dtypes, set("kv_cache_dtype"))),
      simple("gpu_memory_utilization", "GPU memory utilisation", utilization, { aside: utilizationText }),
      h(
        "div",
        { class: "wb-row" },
        simple("pipeline_parallel_size", "Pipeline parallel", numberBox((v) => change({ pipeline_parallel_size: v ?? 1 }), { min: 1, step: 1 })),
        simple("data_parallel_size", "Replicas", numberBox((v) => change({ data_parallel_size: v ?? 1 }), { min: 1, step: 1 })),
      ),
      h(
        "div",
        { class: "wb-row" },
        simple("max_num_seqs", "Max. sequences", numberBox(set("max_num_seqs"), { min: 1, step: 1, placeholder: defaultOf("max_num_seqs") })),
        simple("max_num_batched_tokens", "Batched tokens", numberBox(set("max_num_batched_tokens"), { min: 1, step: 1, placeholder: defaultOf("max_num_batched_tokens") })),
      ),
      simple("kv_cache_memory_bytes", "KV cache, fixed [GiB]", gibBox()),
      simple("cpu_offload_gb", "Weights kept on the host [GiB]", numberBox(set("cpu_offload_gb"), { min: 0, step: 1, placeholder: "none" })),
      simple("n_gpu_layers", "Layers on the GPU", numberBox(set("n_gpu_layers"), { min: 0, step: 1, placeholder: "all" })),
      share("mem_fraction_static", "Static share of memory", "worked out by the engine"),
      share("free_gpu_memory_fraction", "KV cache’s share of free memory", "0.9 (the engine’s default)"),
      share("cuda_memory_fraction", "Share of the card", "1 (the engine’s default)"),
      options.engine_versions?.length ? simple("engine_version", "Engine version", select(options.engine_versions, set("engine_version"))) : null,
      eager,
      prefix,
    ),
  );

  // -- own hardware, own model
  function openOwn(name) {
    const box = root.querySelector(name === "gpu" ? ".wb-own-gpu" : ".wb-own-model");
    box.hidden = false;
    fields[name].show(draft()[name]);
    if (name === "gpu") {
      fields.own_gpu.show(draft().own_gpu ?? options.own_gpu);
      if (!draft().own_gpu) change({ own_gpu: { ...options.own_gpu } });
    }
    const first = box.querySelector("input, textarea");
    first.focus();
    first.select();
  }

  function ownGpu() {
    const inputs = {};
    const box = h("fieldset", { class: "wb-own wb-own-gpu", hidden: true }, h("legend", {}, "Your own GPU"));
    for (const { name, label, unit, text } of options.own_gpu_fields) {
      const input = h("input", { class: "wb-input", type: text ? "text" : "number", min: text ? null : 0, step: text ? null : "any", id: uid("own") });
      input.addEventListener("input", () => {
        const value = text ? input.value : input.value === "" ? null : Number(input.value);
        change({ own_gpu: { ...options.own_gpu, ...draft().own_gpu, [name]: value } });
      });
      inputs[name] = input;
      box.append(field(unit ? `${label} [${unit}]` : label, input));
    }
    const message = h("p", { class: "wb-problem", hidden: true, role: "alert" });
    box.append(
      message,
      h("button", { type: "button", class: "wb-button wb-small", onclick: () => change({ own_gpu: null }) }, "Back to the list"),
    );
    fields.own_gpu = {
      root: {
        problem: (text) => {
          message.hidden = !text;
          message.textContent = text ?? "";
        },
      },
      show: (value) => {
        box.hidden = !value;
        for (const [name, input] of Object.entries(inputs)) {
          if (document.activeElement !== input) input.value = value?.[name] ?? "";
        }
      },
    };
    return box;
  }

  function ownModel() {
    const area = h("textarea", { class: "wb-input wb-config", rows: 5, spellcheck: "false", placeholder: "Paste config.json here, or drop the file" });
    const file = h("input", { type: "file", accept: ".json,application/json", id: uid("file"), class: "wb-file" });
    const use = (text) => {
      let config = null;
      try {
        config = JSON.parse(text);
        if (!config || typeof config !== "object" || Array.isArray(config)) throw new Error("not an object");
      } catch {
        element.problem("This is not JSON: paste the whole config.json of the model, from { to }.");
        return;
      }
      element.problem(null);
      change({ config });
    };
    area.addEventListener("input", () => (area.value.trim() ? use(area.value) : element.problem(null)));
    const read = async (chosen) => {
      if (!chosen) return;
      if (chosen.size > 1e6) return element.problem("That file is too big to be a config.json.");
      area.value = await chosen.text();
      use(area.value);
    };
    file.addEventListener("change", () => read(file.files[0]));
    const element = field("Your model’s config.json", area);
    const box = h(
      "div",
      {
        class: "wb-own wb-own-model", hidden: true,
        ondragover: (event) => event.preventDefault(),
        ondrop: (event) => {
          event.preventDefault();
          read(event.dataTransfer.files[0]);
        },
      },
      element,
      h(
        "div",
        { class: "wb-buttons" },
        h("label", { class: "wb-button wb-small", for: file.id }, "Choose a file"),
        file,
        h("button", { type: "button", class: "wb-button wb-small", onclick: () => { area.value = ""; element.problem(null); change({ config: null }); box.hidden = true; } }, "Back to the list"),
      ),
    );
    fields.config = {
      root: element,
      show: (value) => {
        if (value) {
          box.hidden = false;
          if (!area.value) area.value = JSON.stringify(value, null, 1);
        }
      },
    };
    return box;
  }

  // -- answer
  const verdict = h("div", { class: "wb-verdict", role: "status", "aria-live": "polite", "aria-atomic": "true" });
  const general = problemPlace(controls, choices);
  const paper = h("div");
  const fixes = h("section", { class: "wb-fixes", "aria-label": "Cheapest ways to make it fit" });
  const service = h("div", { class: "wb-asking", "aria-live": "polite" });
  const numbers = h("div", { class: "wb-headlines" });
  const bar = h("div");
  const chart = chartPlace(context, "Throughput against latency, and the roofline");
  chart.legend(options.legend);
  const memory = h("div");
  const limits = h("section", { class: "wb-limits" });
  const speed = h("div");
  const command = code("Start it");
  const python = code("The same in Python");

  // -- what is taken along
  const title = h("input", { class: "wb-input", type: "text", maxlength: 60, id: uid("plan-name"), autocomplete: "off" });
  const keptText = h("p", { class: "wb-hint", role: "status" });
  const answerName = () => title.value.trim() || model.get("answer").name;
  const keep = h("button", { type: "button", class: "wb-button wb-small" }, "Keep to compare");
  keep.addEventListener("click", () => {
    const name = answerName();
    model.set("plans", { ...model.get("plans"), [name]: { ...draft() } });
    model.save_changes();
  });
  title.addEventListener("keydown", (event) => event.stopPropagation()); // JupyterLab would take some keys for its own
  const nameField = field("Name of this plan", title);
  const take = h(
    "section",
    { class: "wb-take", "aria-label": "Take it along" },
    nameField,
    h(
      "div",
      { class: "wb-buttons" },
      keep,
      csvButton("Figures as CSV", answerName, () => figureRows(model.get("answer"), model.get("choice"))),
      csvButton("Curve as CSV", () => `${answerName()} curve`, () => curveRows(model.get("curve").points ?? [])),
      printButton(),
    ),
    keptText,
  );
  const showKept = () => {
    const names = Object.keys(model.get("plans"));
    keptText.hidden = !names.length;
    keptText.textContent = names.length ? `Kept: ${names.join(", ")}.` : "";
  };

  const answer = h(
    "section",
    { class: "wb-card wb-answer", "aria-label": "Answer" },
    general, verdict, paper, fixes, service, numbers, bar, chart, memory, speed, limits, command, python, take,
  );
  root.append(h("div", { class: "wb-columns" }, choices, answer));

  // Elements are replaced only when what they show has changed, so a selection or a focus survives.
  const drawn = new Map();
  const draw = (element, key, make) => {
    const text = JSON.stringify(key);
    if (drawn.get(element) === text) return;
    drawn.set(element, text);
    element.replaceChildren(...[make()].flat().filter(Boolean));
  };

  let charted = null; // the answer that the chart was asked for
  const showAnswer = () => {
    const got = model.get("answer");
    const plan = got?.plan;
    if (!plan) return;
    const missed = got.asked.some((line) => !line.met);
    const state = !plan.fits ? "no" : plan.tight || missed ? "tight" : "yes";
    const words = !plan.fits ? (titles[plan.verdict] ?? plan.verdict) : missed ? "Fits, but misses the service level" : plan.tight ? "Fits, but only just" : titles.starts;
    verdict.dataset.state = state;
    draw(verdict, [words, state, got.summary], () => [
      h("span", { class: "wb-icon", "aria-hidden": "true" }, { yes: "✓", tight: "!", no: "✕" }[state]),
      h("div", {}, h("h2", {}, words), h("p", {}, got.summary)),
    ]);
    draw(service, [got.asked, got.best, plan.workload.concurrency, model.get("choice").percentile], () => (got.asked.length ? [askedLines(got.asked, model.get("choice").percentile), h("p", { class: "wb-best" }, bestSentence(got.best, plan.workload.concurrency))] : []));
    fixes.hidden = plan.fits || !plan.fixes.length;
    draw(fixes, [plan.fits, plan.fixes], () => [
      h("h3", {}, plan.fixes.length === 1 ? "A way to make it fit" : "Cheapest ways to make it fit"),
      ...plan.fixes.map((fix) =>
        h(
          "button",
          { type: "button", class: "wb-fix", onclick: () => { change(fix.change); verdict.scrollIntoView({ block: "nearest" }); } },
          h("span", {}, capital(fix.text)),
          h("small", {}, [fix.cost, fix.usd_per_hour == null ? null : `${usd(fix.usd_per_hour)} an hour`].filter(Boolean).join(" · ")),
        ),
      ),
    ]);
    draw(numbers, [plan.fits, plan.memory, plan.performance, got.max_model_len, got.engine], () => headlines(plan, got.max_model_len, got.engine));
    draw(bar, [plan.memory, got.card, got.engine], () => (plan.memory ? memoryBar(plan.memory, got.card, got.explanations ?? {}, got.engine) : []));
    draw(memory, [plan.memory, got.where], () => (plan.memory ? memoryTable(plan.memory, got.where) : []));
    draw(limits, [got.limits, plan.fits], () => (got.limits.length ? [h("h3", {}, plan.fits ? "What limits it" : "Worth knowing"), h("ul", {}, got.limits.map((text) => h("li", {}, text)))] : []));
    draw(speed, [plan.fits, plan.performance, plan.workload], () => (plan.fits && plan.performance ? speedTable(plan.performance, plan.workload) : []));
    command.hidden = !plan.command;
    command.show(plan.command, plan.fits ? undefined : "The command, which would not start");
    python.show(got.python);
    chart.show(plan.fits);
    title.placeholder = got.name;
    if (got.max_context) options.context = got.max_context;
    if (got !== charted) chart.ask();
    charted = got;
  };

  const showChoice = () => {
    showEngine();
    preset.show();
    const limit = options.context ?? model.get("answer")?.max_context ?? 131072;
    fields.max_model_len.show(draft().max_model_len ?? limit, doublings(512, Math.max(limit, 1024)));
    for (const [name, { show, choices: list }] of Object.entries(fields)) {
      if (name !== "max_model_len") show(draft()[name] ?? null, list);
    }
    if (draft().own_gpu) root.querySelector(".wb-combo[id='" + fields.gpu.root.querySelector("input").id + "']").value = draft().own_gpu.name || "Your own GPU";
    if (draft().config) fields.model.root.querySelector("input").value = "Your own config.json";
  };

  const showProblems = () => {
    const problems = model.get("problems");
    const { plans: ofName, ...others } = problems;
    nameField.problem(ofName);
    general.show(others);
  };

  // -- the address of the page
  const address = addressBook({ ...defaults, plans: {} }, ["model", "gpu"]);
  const writeUrl = () => {
    if (useUrl) address.write({ ...model.get("choice"), plans: model.get("plans") });
  };

  const { onAnswer, onReply } = replies(ask, [showAnswer, showChoice, showProblems, writeUrl], showProblems);
  const onPlans = () => {
    showKept();
    showProblems();
    writeUrl();
  };
  // On paper stands what was chosen, as it is when the page is printed.
  const unprinted = onPaper(paper, () => chosenLines(model.get("answer"), model.get("choice")));
  const unlisten = listen(model, {
    "msg:custom": onReply,
    "change:answer": onAnswer,
    "change:plans": onPlans,
    "change:problems": showProblems,
  });

  showAnswer();
  const { plans: given, ...chosen } = useUrl ? address.read() : {};
  if (given && typeof given === "object") {
    model.set("plans", given);
    model.save_changes();
  }
  if (Object.keys(chosen).length) change(chosen);
  else writeUrl();
  showChoice();
  showProblems();
  showKept();

  return () => {
    watch.stop();
    address.stop();
    chart.stop();
    unprinted();
    unlisten();
  };
}

export default { render: (context) => mount(context, panel) };
