/* graph: from a model's weights to the nodes of a tape. See graph.h.
 *
 * A tensor is made when a weight is first used and found again later, so a tied head and embedding are one tensor,
 * whose gradient is the sum of both uses. A weight that is trained stands as a parameter wherever it is used.
 */
#include "model/graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "quant/panels.h"

/* A document lies in one micro-batch or one cache, so no position is beyond either; a cache of several sequences is
 * longer than any of them. */
static size_t rope_positions(const struct graph *g)
{
	return (size_t)MAX(g->tape->cap.rows, MIN(g->tape->cap.keys, g->model->config.n_ctx));
}

static uint32_t rope_tensor(struct graph *g, const struct rope *r)
{
	size_t positions = rope_positions(g), dims = (size_t)r->dims;

	for (int i = 0; i < g->n_ropes; i++)
		if (!memcmp(g->rope[i].of, r, sizeof(*r)))
			return g->rope[i].tensor;
	if (g->n_ropes == ROPE_TABLES)
		BUG("more than %d tables of positions", ROPE_TABLES);
	struct rope_table *t = &g->rope[g->n_ropes++];
	*t = (struct rope_table){ r, mem_array(positions * dims, sizeof(float)),
		                  tape_weight(g->tape, "rope", DTYPE_F32, 2, (size_t[]){ positions, dims }) };
	rope_fill(t->table, positions, r);
	return t->tensor;
}

size_t graph_bytes(const struct graph *g)
{
	size_t n = 0;

	for (int i = 0; i < g->n_ropes; i++)
		n += rope_positions(g) * (size_t)g->rope[i].of->dims * sizeof(float);
	return n;
}

/* Whether overlay k takes part in what is recorded now. */
static bool asked(const struct graph *g, int k)
{
	return g->apart < 0 ? !g->laid[k].overlay->apart : k == g->apart;
}

static bool is_top(const struct graph *g, int k)
{
	for (int j = k + 1; j < g->n_laid; j++)
		if (asked(g, j))
			return false;
	return true;
}

/* y, but own, which overlay k alone makes, in the rows that it serves; none: it does nothing there. */
static uint32_t choose(struct graph *g, int k, uint32_t own, uint32_t y)
{
	return own ? op_adapter_rows(g->tape, own, y, g->laid[k].overlay->serves) : y;
}

/* The next after k that is apart (−1: the first), now asked alone; n_laid: no more, and all others are asked again.
 * What is asked alone already asks nobody else. */
static int next_apart(struct graph *g, int k)
{
	if (k < 0 && g->apart >= 0)
		return g->n_laid;
	do
		k++;
	while (k < g->n_laid && !g->laid[k].overlay->apart);
	g->apart = k < g->n_laid ? k : -1;
	return k;
}

/* The overlays, the lowest first. */
static void lay(struct graph *g, const struct overlay *top)
{
	for (const struct overlay *o = top; o; o = o->under)
		g->n_laid++;
	g->laid = mem_array((size_t)g->n_laid, sizeof(*g->laid));
	for (int k = g->n_laid - 1; k >= 0; k--, top = top->under) {
		if ((top->serves >= 0 || top->invocation.n) && !top->apart && !(top->hooks && top->hooks->by_row))
			BUG("an overlay for some rows, those of adapter %d, that would reach all", top->serves);
		g->laid[k] = (struct laid){ .overlay = top,
			                    .param_tensor = mem_array(top->params.n_items, sizeof(uint32_t)),
			                    .fixed_tensor = mem_array(top->fixed.n_items, sizeof(uint32_t)) };
	}
}

void graph_init(struct graph *g, struct tape *t, const struct model *m, const struct overlay *o, bool training)
{
	*g = (struct graph){ .tape = t, .model = m, .training = training, .layer = -1, .apart = -1 };
	lay(g, o);
	g->weight_tensor = mem_array(m->n_weights, sizeof(*g->weight_tensor));
	g->transposed_tensor = mem_array(m->n_weights, sizeof(*g->transposed_tensor));
	g->past_tensor = mem_array(2 * (size_t)m->config.n_layers, sizeof(*g->past_tensor));
}

void graph_release(struct graph *g)
{
	for (int k = 0; k < g->n_laid; k++) {
		mem_free(g->laid[k].param_tensor);
		mem_free(g->laid[k].fixed_tensor);
	}
	mem_free(g->laid);
	mem_free(g->weight_tensor);
	mem_free(g->transposed_tensor);
	mem_free(g->past_tensor);
	for (int i = 0; i < g->n_ropes; i++)
		mem_free(g->rope[i].table);
	if (g->other)
		graph_release(g->other);
	mem_free(g->other);
	*g = (struct graph){ 0 };
}

static uint32_t param_tensor(struct graph *g, struct laid *l, int param)
{
	const struct param *p = &l->overlay->params.items[param];

	if (!l->param_tensor[param])
		l->param_tensor[param] = l->overlay->frozen ?
		                                 tape_weight(g->tape, p->name, DTYPE_F32, p->n_dims, p->dim) :
		                                 tape_param(g->tape, p->name, p->n_dims, p->dim);
	return l->param_tensor[param];
}

static struct laid *laid_of(struct graph *g, const struct overlay *o)
{
	for (int k = 0; k < g->n_laid; k++)
		if (g->laid[k].overlay == o)
			return &g->laid[k];
	BUG("a parameter of an overlay that the graph does not have");
}

uint32_t nn_param(struct graph *g, const struct overlay *o, int param)
{
	return param_tensor(g, laid_of(g, o), param);
}

uint32_t nn_fixed(struct graph *g, const struct overlay *o, int item)
{
	const struct param *p = &o->fixed.items[item];
	uint32_t *tensor = &laid_of(g, o)->fixed_tensor[item];

	if (!*tensor) {
		*tensor = tape_weight(g->tape, p->name, DTYPE_F32, p->n_dims, p->dim);
		g->tape->tensors[*tensor].changes = o->fixed_changes;
	}
	return *tensor;
}

uint32_t *nn_made(struct graph *g, const struct overlay *o) { return &laid_of(g, o)->made; }

uint32_t nn_served(struct graph *g, const struct overlay *o, uint32_t u)
{
	size_t columns = tape_tensor(g->tape, u)->dim[1], first[ADAPTERS_MOST + 1];

	if (o->serves < 0 || o->apart)
		return o->invocation.n ? op_adapter_mask(g->tape, u, &columns, 0) : u;
	for (int a = 0; a <= ADAPTERS_MOST; a++)
		first[a] = a <= o->serves ? 0 : columns;
	return op_adapter_mask(g->tape, u, first, ADAPTERS_MOST);
}

static const float *stored_of(const struct overlay *o, int i)
{
	return o->stored && i >= 0 ? o->stored[i] : NULL;
}

/* Numbers that an overlay has for a weight that it does not replace, or NULL. */
static const float *base_of(const struct overlay *o, int i)
{
	const float *stored = o->replaced[i] < 0 ? stored_of(o, i) : NULL;

	return stored ? stored : o->base[i];
}

/* Those of the topmost overlay that has some, or NULL: the model's. */
static const float *base_override(const struct graph *g, int i)
{
	for (int k = g->n_laid - 1; k >= 0; k--)
		if (asked(g, k) && base_of(g->laid[k].overlay, i))
			return base_of(g->laid[k].overlay, i);
	return NULL;
}

/* Whether they are made anew while the graph runs. */
static bool override_changes(const struct graph *g, int i)
{
	for (int k = 0; k < g->n_laid; k++)
		if (stored_of(g->laid[k].overlay, i))
			return true;
	return false;
}

static bool multiplies_as_trained(const struct graph *g) { return g->tape->gradients || g->as_trained; }

/* A tape with gradients multiplies across W too, which in f32 takes the file's rows. */
static bool uses_panels(const struct graph *g, int i)
{
	const struct weight *w = &g->model->weights[i];

	return w->panels && !base_override(g, i) &&
	       (!multiplies_as_trained(g) || (g->model->compute == COMPUTE_INT8 && w->transposed));
}

static uint32_t own_tensor(struct graph *g, int i)
{
	const struct weight *w = &g->model->weights[i];

	if (!g->weight_tensor[i]) {
		bool panels = uses_panels(g, i);
		enum dtype dtype = base_override(g, i) ? DTYPE_F32 : panels ? panel_form(w->dtype) : w->dtype;
		g->weight_tensor[i] = tape_weight(g->tape, w->name, dtype, w->n_dims, w->dim);
		g->tape->tensors[g->weight_tensor[i]].panels = panels;
		g->tape->tensors[g->weight_tensor[i]].changes = override_changes(g, i);
	}
	return g->weight_tensor[i];
}

static uint32_t transposed_tensor(struct graph *g, int i)
{
	const struct weight *w = &g->model->weights[i];

	if (!g->transposed_tensor[i]) {
		char name[TENSOR_NAME];
		snprintf(name, sizeof(name), "%sᵀ", w->name);
		g->transposed_tensor[i] =
			tape_weight(g->tape, name, DTYPE_Q8_0, 2, (size_t[]){ w->dim[1], w->dim[0] });
		g->tape->tensors[g->transposed_tensor[i]].panels = true;
	}
	return g->transposed_tensor[i];
}

/* The arithmetic of a frozen matrix of the model; a trained one is f32. */
static void choose_compute(struct graph *g, int i, struct linear *l)
{
	if (g->model->compute != COMPUTE_INT8 || l->w == TENSOR_NONE || !g->tape->tensors[l->w].panels ||
	    !panels_int8(g->tape->tensors[l->w].dtype))
		return;
	l->int8 = true;
	if (g->tape->gradients && g->model->weights[i].transposed)
		l->wt = transposed_tensor(g, i);
}

/* What stands for the weight: of the topmost overlay that has something, or the model's own. */
static uint32_t weight_tensor(struct graph *g, int i)
{
	for (int k = g->n_laid - 1; k >= 0 && !base_of(g->laid[k].overlay, i); k--)
		if (asked(g, k) && g->laid[k].overlay->replaced[i] >= 0)
			return param_tensor(g, &g->laid[k], g->laid[k].overlay->replaced[i]);
	return own_tensor(g, i);
}

static bool replaces(const struct graph *g, int k, int weight)
{
	return weight >= 0 && g->laid[k].overlay->replaced[weight] >= 0;
}

/* A part of a linear or a norm, whose rows are chosen where it stands. */
static uint32_t part(struct graph *g, const char *spec)
{
	int i = spec ? model_weight(g->model, spec, g->layer) : -1;

	return i < 0 ? TENSOR_NONE : weight_tensor(g, i);
}

uint32_t nn_weight(struct graph *g, const char *spec)
{
	int i = model_weight(g->model, spec, g->layer);

	for (int k = 0; k < g->n_laid && i >= 0; k++)
		if (g->laid[k].overlay->apart && replaces(g, k, i) && !g->tape->err.msg[0])
			err_set(&g->tape->err, "%s is an adapter's own, and nothing tells the rows of several adapters "
			                       "apart there", g->model->weights[i].name);
	return part(g, spec);
}

/* --- products --- */

/* Every overlay says, from the topmost down, what it does to the product of weight i. */
static void ask(struct graph *g, int i, struct linear *l)
{
	uint32_t w = l->w;

	for (int k = g->n_laid - 1; k >= 0; k--) {
		struct laid *laid = &g->laid[k];
		const struct overlay *o = laid->overlay;
		if (!asked(g, k))
			continue;
		struct linear own = { .x = l->x, .w = l->w, .int8 = l->int8, .wt = l->wt };
		g->inside = i < (int)g->model->n_weights && stored_of(o, i);
		l->inside |= g->inside;
		laid->after = o->hooks && o->hooks->linear && o->hooks->linear(g, o, i, &own);
		g->inside = false;
		memcpy(laid->term, own.term, sizeof(own.term));
		laid->more = own.residual;
		l->x = own.x;
		l->w = own.w;
	}
	if (l->w != w) {
		l->int8 = false;
		l->wt = TENSOR_NONE;
	}
}

/* A product that is still open: its own term, then what was added to it; with none, the residual is all. */
static uint32_t close(struct graph *g, const struct linear *l)
{
	return l->x ? op_linear(g->tape, l) : l->residual;
}

static struct linear onto(uint32_t y) { return (struct linear){ .residual = y }; }

static void add_term(struct graph *g, struct linear *l, const struct linear_term *term)
{
	int k = 0;

	while (k < LINEAR_TERMS && l->term[k].u)
		k++;
	if (l->x && k == LINEAR_TERMS)
		*l = onto(close(g, l));
	if (l->x) {
		l->term[k] = *term;
	} else {
		l->x = term->u;
		l->w = term->up;
	}
}

static uint32_t add_up(struct graph *g, uint32_t a, uint32_t b)
{
	return a && b ? op_add(g->tape, a, b) : a ? a : b;
}

/* What is left of bias and residual, once the product went through hooks. */
static uint32_t finish(struct graph *g, uint32_t y, const struct linear *rest)
{
	if (rest->bias)
		return op_scale_columns(g->tape, y, TENSOR_NONE, rest->bias, rest->residual);
	return rest->residual ? op_add(g->tape, rest->residual, y) : y;
}

/* What overlay k makes of what is there; what comes over it must not scale the residual too. */
static uint32_t after(struct graph *g, int k, int i, struct linear *rest, uint32_t y)
{
	const struct overlay *o = g->laid[k].overlay;
	bool top = is_top(g, k);
	struct linear shown = { .bias = rest->bias, .residual = top ? rest->residual : TENSOR_NONE };

	y = o->hooks->after(g, o, i, &shown, y);
	rest->bias = shown.bias;
	rest->residual = top ? shown.residual : rest->residual;
	return y;
}

/* Once they were asked, from the lowest up: terms go up in one pass with the product until an overlay wants to have
 * what is there. */
static uint32_t compose(struct graph *g, int i, struct linear *l)
{
	struct linear rest = { .bias = l->bias, .residual = l->residual };
	bool whole = true;
	uint32_t more = TENSOR_NONE; /* all that is added to what is whole */

	l->bias = l->residual = TENSOR_NONE;
	for (int k = 0; k < g->n_laid; k++) {
		const struct laid *laid = &g->laid[k];
		if (!asked(g, k))
			continue;
		for (int j = 0; j < LINEAR_TERMS && laid->term[j].u; j++)
			add_term(g, l, &laid->term[j]);
		more = add_up(g, more, laid->more);
		if (laid->after) {
			l->residual = add_up(g, l->residual, more);
			*l = onto(after(g, k, i, &rest, close(g, l)));
			more = TENSOR_NONE;
			whole = false;
		}
	}
	rest.residual = add_up(g, rest.residual, more);
	if (!whole || l->residual)
		return finish(g, close(g, l), &rest);
	l->bias = rest.bias;
	l->residual = rest.residual;
	return op_linear(g->tape, l);
}

static uint32_t product(struct graph *g, int i, struct linear *l)
{
	ask(g, i, l);
	return compose(g, i, l);
}

/* The product l of overlay k, which alone is asked; none where it changes nothing, and `changed` does not say so. */
static uint32_t product_apart(struct graph *g, int k, int i, struct linear l, bool changed)
{
	const struct laid *laid = &g->laid[k];
	uint32_t x = l.x, w = l.w;

	ask(g, i, &l);
	changed |= l.x != x || l.w != w || laid->term[0].u || laid->more || laid->after;
	return changed ? compose(g, i, &l) : TENSOR_NONE;
}

static struct linear linear_of(struct graph *g, int i, uint32_t x, const char *bias, uint32_t residual)
{
	struct linear l = { .x = x, .w = weight_tensor(g, i), .bias = part(g, bias), .residual = residual };

	choose_compute(g, i, &l);
	return l;
}

uint32_t nn_linear(struct graph *g, uint32_t x, const char *weight, const char *bias, uint32_t residual)
{
	int i = model_weight(g->model, weight, g->layer), b = bias ? model_weight(g->model, bias, g->layer) : -1;

	if (i < 0)
		BUG("%s: no such weight in layer %d", weight, g->layer);
	struct linear l = linear_of(g, i, x, bias, residual);
	uint32_t y = product(g, i, &l);
	for (int k = next_apart(g, -1); k < g->n_laid; k = next_apart(g, k)) {
		bool changed = replaces(g, k, i) || replaces(g, k, b);
		y = choose(g, k, product_apart(g, k, i, linear_of(g, i, x, bias, residual), changed), y);
	}
	return y;
}

/* --- experts --- */

/* Weight i and those of the other experts as one tensor, each as `of` has it. */
static uint32_t stack_of(struct graph *g, int i, size_t experts, uint32_t (*of)(struct graph *g, int i))
{
	uint32_t *parts = mem_array(experts, sizeof(*parts));

	for (size_t e = 0; e < experts; e++)
		parts[e] = of(g, i + (int)e);
	uint32_t stack = tape_stack(g->tape, g->model->weights[i].spec->hf, parts, experts);
	mem_free(parts);
	return stack;
}

/* int8 where all of them would be. */
static void choose_experts_compute(struct graph *g, int i, size_t experts, struct experts *l)
{
	size_t own = 0, turned = 0;

	for (size_t e = 0; e < experts && l->w; e++) {
		struct linear one = { .w = g->tape->tensors[l->w].parts[e] };
		choose_compute(g, i + (int)e, &one);
		own += one.int8;
		turned += one.wt != TENSOR_NONE;
	}
	l->int8 = own == experts;
	if (l->int8 && turned == experts)
		l->wt = stack_of(g, i, experts, transposed_tensor);
}

/* Terms that have no room go up in a product of their own. */
static uint32_t add_expert_terms(struct graph *g, const struct experts *l, uint32_t y, const struct linear_term *more)
{
	for (int k = 0; k < LINEAR_TERMS && more[k].u; k++)
		y = op_add(g->tape, y, op_experts(g->tape, &(struct experts){ .x = more[k].u, .w = more[k].up,
		                                                              .to = l->to }));
	return y;
}

/* With those that are asked; *changed: one of them did something. */
static uint32_t experts_of(struct graph *g, int i, struct experts l, bool *changed)
{
	int room = 0;

	for (int k = 0; k < g->n_laid; k++) {
		const struct overlay *o = g->laid[k].overlay;
		if (!asked(g, k))
			continue;
		struct experts own = { .x = l.x, .w = l.w, .to = l.to };
		if (o->hooks && o->hooks->experts)
			o->hooks->experts(g, o, i, &own);
		*changed |= own.term[0].u;
		memcpy(g->laid[k].term, own.term, sizeof(own.term));
		for (int j = 0; j < LINEAR_TERMS && own.term[j].u && room < LINEAR_TERMS; j++) {
			l.term[room++] = own.term[j];
			g->laid[k].term[j] = (struct linear_term){ 0 };
		}
	}
	if (!*changed)
		return TENSOR_NONE;
	uint32_t y = op_experts(g->tape, &l);
	for (int k = 0; k < g->n_laid; k++)
		if (asked(g, k))
			y = add_expert_terms(g, &l, y, g->laid[k].term);
	return y;
}

uint32_t nn_experts(struct graph *g, uint32_t x, const char *weight, const char *bias, const struct routing *to)
{
	int i = model_weight(g->model, weight, g->layer);
	bool changed = true;

	if (i < 0 || g->model->weights[i].expert != 0)
		BUG("%s: no experts of that name in layer %d", weight, g->layer);
	if (g->tape->err.msg[0])
		return TENSOR_NONE;
	size_t experts = tape_tensor(g->tape, to->first)->dim[0] - 1;
	struct experts l = { .x = x, .w = stack_of(g, i, experts, weight_tensor), .to = *to,
		             .bias = bias ? nn_weight(g, bias) : TENSOR_NONE };
	choose_experts_compute(g, i, experts, &l);
	uint32_t y = experts_of(g, i, l, &changed);
	for (int k = next_apart(g, -1); k < g->n_laid; k = next_apart(g, k)) {
		struct experts own = l;
		changed = false;
		for (size_t e = 0; e < experts; e++)
			changed |= replaces(g, k, i + (int)e);
		if (changed) {
			own = (struct experts){ .x = x, .w = stack_of(g, i, experts, weight_tensor), .to = *to,
				                .bias = l.bias };
			choose_experts_compute(g, i, experts, &own);
		}
		y = choose(g, k, experts_of(g, i, own, &changed), y);
	}
	return y;
}

/* --- the rest of a block --- */

/* What an overlay that is asked has in its place, none: the table's rows. */
static uint32_t own_rows(struct graph *g, int i, enum embed_source source, uint32_t table)
{
	uint32_t y = TENSOR_NONE;

	for (int k = g->n_laid - 1; k >= 0 && !y; k--) {
		const struct overlay *o = g->laid[k].overlay;
		if (asked(g, k) && o->hooks && o->hooks->lookup)
			y = o->hooks->lookup(g, o, i, source, table);
	}
	return y;
}

static uint32_t embedded(struct graph *g, int i, enum embed_source source, uint32_t y)
{
	for (int k = 0; k < g->n_laid; k++) {
		const struct overlay *o = g->laid[k].overlay;
		if (asked(g, k) && o->hooks && o->hooks->embed)
			y = o->hooks->embed(g, o, i, source, y);
	}
	return y;
}

static const struct overlay *top(const struct graph *g) { return g->n_laid ? g->laid[g->n_laid - 1].overlay : NULL; }

size_t nn_spare(const struct graph *g, enum embed_source source)
{
	return source == EMBED_IDS ? (size_t)overlays_virtual_rows(top(g)) : 0;
}

uint32_t nn_rows(struct graph *g, uint32_t table, enum embed_source source)
{
	return op_embed_some(g->tape, table, TENSOR_NONE, TENSOR_NONE, source, nn_spare(g, source));
}

/* Whoever it is that looks tokens up: the rows of virtual ones are their overlay's own. */
static uint32_t with_virtual_rows(struct graph *g, int weight, enum embed_source source, uint32_t y)
{
	if (source != EMBED_IDS || weight != model_weight_by_name(g->model, g->model->config.arch->embedding))
		return y;
	for (int k = 0; k < g->n_laid; k++) {
		const struct overlay *o = g->laid[k].overlay;
		if (o->hooks && o->hooks->virtual_rows)
			y = o->hooks->virtual_rows(g, o, y);
	}
	return y;
}

uint32_t nn_embed(struct graph *g, const char *weight, enum embed_source source)
{
	int i = model_weight(g->model, weight, g->layer);

	if (i < 0)
		BUG("%s: no such weight", weight);
	uint32_t table = weight_tensor(g, i), rows = own_rows(g, i, source, table);
	uint32_t plain = rows ? rows : nn_rows(g, table, source), y = embedded(g, i, source, plain);
	for (int k = next_apart(g, -1); k < g->n_laid; k = next_apart(g, k)) {
		table = weight_tensor(g, i);
		rows = own_rows(g, i, source, table);
		uint32_t from = rows ? rows : replaces(g, k, i) ? nn_rows(g, table, source) : plain;
		uint32_t own = embedded(g, i, source, from);
		y = choose(g, k, own == plain ? TENSOR_NONE : own, y);
	}
	return with_virtual_rows(g, i, source, y);
}

static uint32_t after_norm(struct graph *g, int weight, uint32_t x, uint32_t y)
{
	for (int k = 0; k < g->n_laid; k++) {
		const struct overlay *o = g->laid[k].overlay;
		if (asked(g, k) && o->hooks && o->hooks->norm)
			y = o->hooks->norm(g, o, weight, x, y);
	}
	return y;
}

/* layer: of means too, which have a bias or not; else of squares alone. */
static uint32_t plain_norm(struct graph *g, uint32_t x, const char *weight, const char *bias, bool layer)
{
	float eps = (float)g->model->config.norm_eps;

	return layer ? op_layernorm(g->tape, x, part(g, weight), part(g, bias), eps) :
	               op_rmsnorm(g->tape, x, part(g, weight), eps);
}

static uint32_t norm(struct graph *g, uint32_t x, const char *weight, const char *bias, bool layer)
{
	int w = model_weight(g->model, weight, g->layer), b = bias ? model_weight(g->model, bias, g->layer) : -1;
	uint32_t plain = plain_norm(g, x, weight, bias, layer), y = after_norm(g, w, x, plain);

	for (int k = next_apart(g, -1); k < g->n_laid; k = next_apart(g, k)) {
		bool own = replaces(g, k, w) || replaces(g, k, b);
		uint32_t from = own ? plain_norm(g, x, weight, bias, layer) : plain, to = after_norm(g, w, x, from);
		y = choose(g, k, to == plain ? TENSOR_NONE : to, y);
	}
	return y;
}

uint32_t nn_rmsnorm(struct graph *g, uint32_t x, const char *weight) { return norm(g, x, weight, NULL, false); }

uint32_t nn_layernorm(struct graph *g, uint32_t x, const char *weight, const char *bias)
{
	return norm(g, x, weight, bias, true);
}

uint32_t nn_rope(struct graph *g, uint32_t x, int heads, const struct rope *r)
{
	return op_rope(g->tape, x, rope_tensor(g, r), heads, g->model->config.rope_interleaved);
}

uint32_t nn_attention(struct graph *g, uint32_t q, uint32_t k, uint32_t v, struct attention_spec a)
{
	const struct config *c = &g->model->config;

	for (int i = 0; i < g->n_laid; i++) {
		const struct overlay *o = g->laid[i].overlay;
		if (asked(g, i) && o->hooks && o->hooks->attention)
			o->hooks->attention(g, o, &k, &v);
	}
	past_keys_record(g, &k, &v);
	if (g->caches) {
		struct kv_tensors kept = g->caches(g->caches_ctx, a.window);
		k = op_put_keys(g->tape, k, kept.k, c->G);
		v = op_put_values(g->tape, v, kept.v, c->G);
	}
	a.H = c->H;
	a.G = c->G;
	if (a.scale == 0)
		a.scale = (float)(1 / sqrt((double)c->D));
	return op_attention(g->tape, q, k, v, a);
}

uint32_t nn_state(struct graph *g, size_t numbers)
{
	return g->states ? g->states(g->caches_ctx, numbers) : TENSOR_NONE;
}

static bool hooks_sublayer(const struct graph *g)
{
	for (int k = 0; k < g->n_laid; k++)
		if (asked(g, k) && g->laid[k].overlay->hooks && g->laid[k].overlay->hooks->sublayer)
			return true;
	return false;
}

static uint32_t hooked(struct graph *g, enum sublayer kind, uint32_t x, uint32_t h, uint32_t y)
{
	uint32_t plain = y;

	for (int k = 0; k < g->n_laid; k++) {
		const struct overlay *o = g->laid[k].overlay;
		if (asked(g, k) && o->hooks && o->hooks->sublayer)
			y = o->hooks->sublayer(g, o, kind, x, h, y);
	}
	for (int k = next_apart(g, -1); k < g->n_laid; k = next_apart(g, k)) {
		const struct overlay *o = g->laid[k].overlay;
		uint32_t own = o->hooks && o->hooks->sublayer ? o->hooks->sublayer(g, o, kind, x, h, plain) : plain;
		y = choose(g, k, own == plain ? TENSOR_NONE : own, y);
	}
	return y;
}

uint32_t nn_sublayer(struct graph *g, enum sublayer kind, uint32_t x, uint32_t h, uint32_t y)
{
	return op_add(g->tape, x, hooked(g, kind, x, h, y));
}

uint32_t nn_sublayer_normed(struct graph *g, enum sublayer kind, uint32_t x, uint32_t h, uint32_t y, const char *norm)
{
	return op_add(g->tape, x, nn_rmsnorm(g, hooked(g, kind, x, h, y), norm));
}

static uint32_t sublayer_linear(struct graph *g, enum sublayer kind, uint32_t x, uint32_t h, uint32_t in,
                                const char *weight, const char *bias)
{
	if (!hooks_sublayer(g))
		return nn_linear(g, in, weight, bias, x);
	return op_add(g->tape, x, hooked(g, kind, x, h, nn_linear(g, in, weight, bias, TENSOR_NONE)));
}

uint32_t nn_sublayer_linear(struct graph *g, enum sublayer kind, uint32_t x, uint32_t h, uint32_t in,
                            const char *weight, const char *bias)
{
	uint32_t y = sublayer_linear(g, kind, x, h, in, weight, bias);

	for (int k = next_apart(g, -1); k < g->n_laid; k = next_apart(g, k))
		if (hooks_sublayer(g))
			y = choose(g, k, sublayer_linear(g, kind, x, h, in, weight, bias), y);
	return y;
}

/* --- the whole --- */

static uint32_t blocks(struct graph *g, uint32_t x, int layer, int end)
{
	const struct arch *a = g->model->config.arch;

	for (; layer < end; layer++) {
		if (g->layered)
			g->layered(g->layered_ctx, g, layer, x);
		g->layer = g->tape->layer = layer;
		x = a->block(g, layer, x);
	}
	g->layer = g->tape->layer = -1;
	return x;
}

uint32_t graph_hidden_before(struct graph *g, int layer)
{
	uint32_t x = g->model->config.arch->embed(g);

	g->carried = g->load = TENSOR_NONE;
	return blocks(g, x, 0, layer);
}

uint32_t graph_hidden_from(struct graph *g, uint32_t x, int layer)
{
	return blocks(g, x, layer, g->model->config.n_layers);
}

uint32_t graph_hidden(struct graph *g)
{
	return graph_hidden_from(g, graph_hidden_before(g, 0), 0);
}

uint32_t graph_states(struct graph *g, uint32_t hidden) { return g->model->config.arch->norm(g, hidden); }

/* What stands for the head: an overlay may part a tied model's from its embedding, and then those over the embedding
 * alone are none of its own. */
static uint32_t head_tensor(struct graph *g)
{
	int weight = model_head(g->model);

	for (int k = g->n_laid - 1; k >= 0; k--) {
		const struct overlay *o = g->laid[k].overlay;
		if (!asked(g, k))
			continue;
		if (o->head >= 0)
			return param_tensor(g, &g->laid[k], o->head);
		if (o->head == HEAD_AS_EMBEDDING && o->replaced[weight] >= 0)
			return param_tensor(g, &g->laid[k], o->replaced[weight]);
		if (base_of(o, weight))
			break;
	}
	return own_tensor(g, weight);
}

uint32_t graph_head_rows(struct graph *g, uint32_t hidden)
{
	const struct arch *a = g->model->config.arch;
	uint32_t x = a->norm(g, op_gather(g->tape, hidden));

	return a->transform ? a->transform(g, x) : x;
}

/* The target rows through the final norm, the head's matrix and what the architecture says besides; *i is the number
 * that overlays know it by. */
static struct linear head_of(struct graph *g, uint32_t rows, int *i, float *cap)
{
	const struct model *m = g->model;
	const struct arch *a = m->config.arch;
	struct linear l = { .x = rows, .w = head_tensor(g) };

	*i = m->config.tied ? (int)m->n_weights : model_head(m);
	*cap = 0;
	if (a->logits)
		a->logits(g, &l, cap);
	return l;
}

static struct linear head(struct graph *g, uint32_t hidden, int *i, float *cap)
{
	return head_of(g, graph_head_rows(g, hidden), i, cap);
}

/* In int8 where training goes through a head that is the model's own; what only scores stays in f32. */
static struct linear logprob_head(struct graph *g, uint32_t hidden, double temperature, float *cap)
{
	int weight = model_head(g->model), i;
	struct linear l = head(g, hidden, &i, cap);

	if (temperature != 1) { /* z/T = cap/T · tanh((x/T)·Wᵀ / (cap/T)) */
		if (l.bias)
			BUG("a head with a bias at a temperature");
		l.x = op_scale(g->tape, l.x, (float)(1 / temperature));
		*cap /= (float)temperature;
	}

	if (multiplies_as_trained(g) && l.w == g->weight_tensor[weight])
		choose_compute(g, weight, &l);
	ask(g, i, &l);
	for (int k = 0; k < g->n_laid; k++) {
		if (g->laid[k].overlay->apart)
			BUG("log-probabilities of rows of several adapters, one of which is apart");
		if (g->laid[k].after || g->laid[k].more)
			BUG("an overlay that wants the head's product");
		for (int j = 0; j < LINEAR_TERMS && g->laid[k].term[j].u; j++)
			add_term(g, &l, &g->laid[k].term[j]);
	}
	return l;
}

uint32_t graph_logprob(struct graph *g, uint32_t hidden)
{
	float cap;
	struct linear l = logprob_head(g, hidden, 1, &cap);

	return op_token_logprob_z(g->tape, &l, cap, g->z_loss, &g->logprob_stat);
}

uint32_t graph_logprob_from_above(struct graph *g, uint32_t hidden)
{
	float cap;
	struct linear l = logprob_head(g, hidden, 1, &cap);

	return op_token_logprob_from_above(g->tape, &l, cap);
}

uint32_t graph_logprob_at(struct graph *g, uint32_t hidden, double temperature)
{
	float cap;
	struct linear l = logprob_head(g, hidden, temperature, &cap);

	return op_token_logprob_from_above(g->tape, &l, cap);
}

/* The head as the file has it. */
static uint32_t base_head(struct graph *g, int weight)
{
	const struct weight *w = &g->model->weights[weight];

	if (!base_override(g, weight))
		return own_tensor(g, weight);
	if (!g->base_head)
		g->base_head = tape_weight(g->tape, w->name, w->dtype, w->n_dims, w->dim);
	return g->base_head;
}

uint32_t graph_divergence(struct graph *g, uint32_t hidden, uint32_t base_rows)
{
	float cap;
	struct linear l = logprob_head(g, hidden, 1, &cap);
	struct linear base = { .x = base_rows, .w = base_head(g, model_head(g->model)), .scale = l.scale,
		               .int8 = l.int8 };

	if (g->model->config.arch->encoder)
		BUG("the next token's distribution of an encoder");
	return op_divergence(g->tape, &l, cap, &base, cap, &divergence_kl);
}

uint32_t graph_divergence_from(struct graph *g, uint32_t hidden, const struct model *other, float *const *rows,
                               const struct divergence_kind *kind)
{
	size_t dim[2] = { (size_t)g->tape->cap.targets, (size_t)other->config.C };
	int weight = model_head(other), i;
	float cap, base_cap;
	struct linear l = logprob_head(g, hidden, 1, &cap);

	if (g->other || g->model->config.arch->encoder || other->config.arch->encoder)
		BUG("a second divergence of a graph, or that of an encoder's next token");
	g->other = mem_alloc(sizeof(*g->other));
	graph_init(g->other, g->tape, other, NULL, false);
	g->other_at = rows;
	g->other_rows = tape_state(g->tape, "other_rows", AXIS_TARGETS, 2, dim);
	struct linear base = head_of(g->other, g->other_rows, &i, &base_cap);
	if (l.int8 && base.w == g->other->weight_tensor[weight])
		choose_compute(g->other, weight, &base);
	return op_divergence(g->tape, &l, cap, &base, base_cap, kind);
}

uint32_t graph_logits(struct graph *g, uint32_t hidden)
{
	int i;
	float cap;
	struct linear l = head(g, hidden, &i, &cap);

	struct linear one = l;
	choose_compute(g, model_head(g->model), &l);
	uint32_t z = product(g, i, &l);
	for (int k = next_apart(g, -1); k < g->n_laid; k = next_apart(g, k)) {
		struct linear own = one;
		own.w = head_tensor(g);
		choose_compute(g, model_head(g->model), &own);
		z = choose(g, k, product_apart(g, k, i, own, own.w != one.w), z);
	}
	return cap == 0 ? z : op_soft_cap(g->tape, z, cap);
}

uint32_t graph_labels(struct graph *g, uint32_t hidden)
{
	const struct arch *a = g->model->config.arch;

	if (!g->model->labels)
		BUG("labels of a model that does not classify");
	if (a->encoder)
		return a->classify(g, hidden);
	return nn_linear(g, a->norm(g, op_gather(g->tape, hidden)), "score.weight", NULL, TENSOR_NONE);
}

void graph_mark_overlays(const struct graph *g, bool *marked)
{
	for (int k = 0; k < g->n_laid; k++) {
		const struct laid *l = &g->laid[k];
		for (size_t i = 0; i < l->overlay->params.n_items; i++)
			marked[l->param_tensor[i]] |= l->param_tensor[i] != TENSOR_NONE;
		for (size_t i = 0; i < l->overlay->fixed.n_items; i++)
			marked[l->fixed_tensor[i]] |= l->fixed_tensor[i] != TENSOR_NONE;
	}
	for (size_t i = 0; i < g->model->n_weights; i++)
		marked[g->weight_tensor[i]] |= g->weight_tensor[i] && base_override(g, (int)i);
}

/* The numbers that a weight's tensor stands for. */
static const void *stored(const struct graph *g, int i)
{
	const struct weight *w = &g->model->weights[i];

	if (g->tape->tensors[g->weight_tensor[i]].panels)
		return w->panels;
	return base_override(g, i) ? (const void *)base_override(g, i) : w->data;
}

static void bind_overlay(const struct graph *g, const struct laid *l, struct run *r, float *grads)
{
	const struct params *p = &l->overlay->params, *fixed = &l->overlay->fixed;

	for (size_t i = 0; i < p->n_items; i++) {
		uint32_t x = l->param_tensor[i], dx = tape_grad(g->tape, x);
		const float *stored = stored_of(l->overlay, p->items[i].weight);
		if (x)
			run_bind_host(r, x, stored ? stored : p->w + p->items[i].offset);
		if (dx && grads)
			run_bind_host(r, dx, grads + l->overlay->at + p->items[i].offset);
	}
	for (size_t i = 0; i < fixed->n_items; i++)
		if (l->fixed_tensor[i])
			run_bind_host(r, l->fixed_tensor[i], fixed->w + fixed->items[i].offset);
}

void graph_bind(const struct graph *g, struct run *r, float *grads)
{
	for (size_t i = 0; i < g->model->n_weights; i++) {
		const struct weight *w = &g->model->weights[i];
		if (g->weight_tensor[i])
			run_bind_host(r, g->weight_tensor[i], stored(g, (int)i));
		if (g->transposed_tensor[i])
			run_bind_host(r, g->transposed_tensor[i], w->transposed);
	}
	if (g->other) {
		graph_bind(g->other, r, NULL);
		run_bind_host(r, g->other_rows, *g->other_at);
	}
	if (g->base_head)
		run_bind_host(r, g->base_head, g->model->weights[model_head(g->model)].data);
	past_keys_bind(g, r);
	for (int k = 0; k < g->n_laid; k++)
		bind_overlay(g, &g->laid[k], r, grads);
	for (int i = 0; i < g->n_ropes; i++)
		run_bind_host(r, g->rope[i].tensor, g->rope[i].table);
}
