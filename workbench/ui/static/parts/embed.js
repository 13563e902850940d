import { h } from "../shared.js";

// One widget inside another.

/**
 * Draw the widget of a reference ("anywidget:" and its model's id) in an element that is on the page.
 * Returns a promise of whether it could be drawn.
 */
export async function embed({ model, host }, reference, element) {
  const id = reference.replace("anywidget:", "");
  try {
    if (host?.getWidget) {
      const child = await host.getWidget(reference);
      await child.render({ el: element });
    } else {
      // anywidget before 0.11 leaves that to the widget manager.
      const manager = model.widget_manager;
      const view = await manager.create_view(await manager.get_model(id));
      element.append(view.el);
    }
    return true;
  } catch (error) {
    console.error(error);
    element.replaceChildren(h("p", { class: "wb-problem" }, "This part could not be drawn. Reload the page."));
    return false;
  }
}
