import { duration, field, h, milliseconds, percent, select, whole } from "../shared.js";
import { doublings, row, scaledBox } from "./form.js";

// What arrives, and what is asked: the same controls wherever a workload is chosen.

const OWN = "own";
const SHAPE = ["isl", "osl", "isl_cv", "osl_cv", "prefix_hit"];

/** A ready-made kind of requests; what it is shows under it. */
export function presetField(presets, change, draft) {
  const matching = (choice) => presets.find((preset) => SHAPE.every((name) => preset.workload[name] === choice[name]));
  const options = [...presets.map(({ id, title }) => ({ value: id, label: title })), { value: OWN, label: "Your own" }];
  const control = select(options, (id) => {
    const preset = presets.find((each) => each.id === id);
    if (!preset) return root.show();
    // A context that is too short for them would hide what such requests cost.
    const longer = draft().max_model_len != null && draft().max_model_len < preset.context ? { max_model_len: preset.context } : {};
    change({ ...preset.workload, ...longer });
  });
  const root = field("Workload", control, { hint: " " });
  const hint = root.querySelector(".wb-hint");
  root.show = () => {
    const preset = matching(draft());
    control.show(preset?.id ?? OWN);
    hint.hidden = !preset;
    hint.textContent = preset?.told ?? "";
    hint.title = preset?.source ?? "";
  };
  return root;
}

/** Concurrency and lengths; how they spread is folded. */
export function workloadFields(form) {
  return [
    form.slider("concurrency", "Concurrent requests", doublings(1, 1024)),
    row(form.number("isl", "Input tokens", { min: 1, step: 1 }), form.number("osl", "Output tokens", { min: 1, step: 1 })),
    h(
      "details",
      { class: "wb-more" },
      h("summary", {}, "Spread and cached prefixes"),
      row(
        form.number("isl_cv", "Spread of input", { min: 0, max: 10, step: 0.1 }),
        form.number("osl_cv", "Spread of output", { min: 0, max: 10, step: 0.1 }),
      ),
      h("p", { class: "wb-hint" }, "Standard deviation ÷ mean of the lengths."),
      form.simple("prefix_hit", "Input that the prefix cache holds [%]", scaledBox(0.01, form.set("prefix_hit"), { min: 0, max: 100, step: 5 })),
    ),
  ];
}

/** What is asked of the deployment. */
export function serviceFields(form, percentiles) {
  return h(
    "details",
    { class: "wb-more wb-asked" },
    h("summary", {}, "Service level"),
    row(
      form.simple("ttft", "First token within [ms]", scaledBox(1e-3, form.set("ttft"), { min: 0, step: 50, placeholder: "any" })),
      form.simple("tpot", "Each further one [ms]", scaledBox(1e-3, form.set("tpot"), { min: 0, step: 5, placeholder: "any" })),
    ),
    form.choice("percentile", "That holds", percentiles),
    form.number("output_tokens_per_s", "Rate of all output [tokens/s]", { min: 0, step: 100, placeholder: "any, at least" }),
  );
}

/** A workload in words. */
export function workloadWords({ concurrency, isl, osl, isl_cv, osl_cv, prefix_hit }) {
  const spread = isl_cv || osl_cv ? `, spread ${isl_cv} and ${osl_cv}` : "";
  const cached = prefix_hit ? `, ${percent(prefix_hit)} of the input cached` : "";
  return `${whole(concurrency)} requests at once, ${whole(isl)} tokens in, ${whole(osl)} out${spread}${cached}`;
}

/** A service level in words; empty where nothing is asked. */
export function serviceWords({ ttft, tpot, output_tokens_per_s, percentile }) {
  const parts = [
    ttft != null && `first token within ${duration(ttft)}`,
    tpot != null && `${milliseconds(tpot)} per further token`,
    (ttft ?? tpot) != null && percentile !== 50 && `for ${percentile} % of requests`,
    output_tokens_per_s != null && `at least ${whole(output_tokens_per_s)} tokens/s`,
  ];
  return parts.filter(Boolean).join(", ");
}
