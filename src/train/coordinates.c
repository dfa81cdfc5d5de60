/* coordinates: a few steps of AdamW on random tokens, watched. See coordinates.h.
 *
 * Two passes a step: one forward that is watched and ends in logits, one with gradients. Both are as any other's, and
 * so is the update; only the trainer around them is left out. */
#include "train/coordinates.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/stop.h"
#include "data/forest.h"
#include "model/init.h"
#include "model/model_pass.h"
#include "model/mup.h"
#include "model/sizes.h"
#include "op/watch.h"
#include "train/optim.h"

struct width;
struct place { struct width *of; int number; };

/* One model and what is known of it. */
struct width {
	struct coordinates *out;
	const struct coordinate_options *o;
	struct device *device;
	struct arena mem;
	struct model model;
	struct overlay full;
	struct document *docs;
	const struct document **list;
	struct forest_options how;
	struct batch_cap cap;
	struct model_pass watched, trained;
	struct optim optim;
	struct adamw_options adamw;
	float *grads;
	struct place place[COORDINATE_PLACES];
	float *first[COORDINATE_PLACES];     /* what it was before the first step */
	int number, step, places;
	int narrow;                          /* numbers of a state of the narrowest */
};

/* --- what is seen --- */

static void take(struct width *w, int place, const float *x, size_t n)
{
	double size = 0, moved = 0;

	if (!w->first[place]) {
		w->first[place] = arena_array(&w->mem, n, sizeof(*x));
		memcpy(w->first[place], x, n * sizeof(*x));
	}
	for (size_t i = 0; i < n; i++) {
		size += fabs((double)x[i]);
		moved += fabs((double)x[i] - (double)w->first[place][i]);
	}
	w->out->size[w->number][w->step][place] = size / (double)n;
	w->out->moved[w->number][w->step][place] = moved / (double)n;
}

static void see(void *ctx, struct pool *p, const struct watched *x)
{
	const struct place *place = ctx;
	(void)p;

	take(place->of, place->number, x->x, x->rows * x->cols);
}

static void layered(void *ctx, struct graph *g, int layer, uint32_t x)
{
	struct width *w = ctx;

	w->place[layer] = (struct place){ w, layer };
	op_watch(g->tape, x, TENSOR_NONE, TENSOR_NONE, (size_t)w->model.config.C,
	         &(struct watch){ see, &w->place[layer] });
}

/* --- the passes --- */

static int record_watched(struct width *w, struct err *e)
{
	struct model_pass *p = &w->watched;

	model_pass_begin(p, w->device, &w->cap, &w->model, &w->full, false);
	p->graph.layered = layered;
	p->graph.layered_ctx = w;
	uint32_t hidden = graph_hidden(&p->graph);
	layered(w, &p->graph, w->model.config.n_layers, hidden);
	p->result = graph_logits(&p->graph, hidden);
	return pass_plan(&p->pass, NULL, e) < 0 ? -1 : model_pass_start(p, NULL, e);
}

static int record_trained(struct width *w, struct err *e)
{
	struct model_pass *p = &w->trained;

	model_pass_begin(p, w->device, &w->cap, &w->model, &w->full, true);
	p->result = graph_logprob(&p->graph, graph_hidden(&p->graph));
	if (tape_backward(&p->pass.tape, e) < 0 || pass_plan(&p->pass, NULL, e) < 0)
		return -1;
	return model_pass_start(p, w->grads, e);
}

static int look(struct width *w, struct err *e)
{
	struct batch *b = &w->watched.pass.batch;

	forest_fill(b, w->list, (size_t)w->o->documents, &w->how);
	if (pass_step(&w->watched.pass) < 0)
		return stop_look(e, "coordinates were checked");
	take(w, w->places - 1, model_pass_result(&w->watched), (size_t)b->n_targets * (size_t)w->model.config.V);
	return 0;
}

static int train(struct width *w, struct err *e)
{
	struct batch *b = &w->trained.pass.batch;
	double loss = 0;

	forest_fill(b, w->list, (size_t)w->o->documents, &w->how);
	if (pass_step(&w->trained.pass) < 0)
		return stop_look(e, "coordinates were checked");
	const float *logp = model_pass_result(&w->trained);
	for (int i = 0; i < b->n_labels; i++)
		loss -= (double)logp[i];
	w->out->loss[w->number][w->step] = loss / b->n_labels;
	optim_clip(&w->optim, w->grads, 1.0 / b->n_labels, 0);
	optim_step(&w->optim, w->grads, w->o->rate, w->step + 1);
	return 0;
}

/* --- a width --- */

static void make_documents(struct width *w)
{
	struct rng_key key = { w->o->seed, RNG_SAMPLE };
	size_t n = (size_t)w->o->documents, length = (size_t)w->o->length;

	w->docs = arena_array(&w->mem, n, sizeof(*w->docs));
	w->list = arena_array(&w->mem, n, sizeof(*w->list));
	for (size_t i = 0; i < n; i++) {
		struct document *d = &w->docs[i];
		d->ids = arena_array(&w->mem, length, sizeof(*d->ids));
		d->learn = arena_array(&w->mem, length, 1);
		for (size_t k = 0; k < length; k++) {
			d->ids[k] = (int32_t)(rng_uniform(key, k, (uint32_t)i, 0) * (float)w->model.config.V);
			d->learn[k] = k > 0;
		}
		d->n = (int32_t)length;
		d->n_learn = d->n - 1;
		d->choice = d->adapter = -1;
		w->list[i] = d;
	}
	w->how = (struct forest_options){ .max_tokens = (int32_t)(n * length), .all_targets = true };
}

static int open_width(struct width *w, const json_t *config, int times, struct err *e)
{
	struct init_options o = { .seed = w->o->seed, .base_width = w->o->mup ? w->narrow : 0,
		                  .name = "a model of that width" };
	struct live live;
	int64_t tokens;
	json_t *wide = size_widened(config, times, e);
	int status = wide ? model_new(&w->model, wide, NULL, &o, w->device->pool, e) : -1;

	json_decref(wide);
	if (status < 0 || model_want_causal(&w->model, e) < 0)
		return -1;
	w->places = w->out->n_places = w->model.config.n_layers + 2;
	if (w->places > COORDINATE_PLACES)
		return err_set(e, "a model of %d blocks: coordinates are checked of at most %d", w->places - 2,
		               COORDINATE_PLACES - 2);
	make_documents(w);
	forest_take(w->list, (size_t)w->o->documents, &w->how, &w->cap, &live, &tokens);
	overlay_init(&w->full, &w->model);
	overlay_replace_all(&w->full, &w->model);
	mup_groups(&w->full.params, &w->model);
	return params_seal(&w->full.params, e);
}

static int start_width(struct width *w, struct err *e)
{
	struct params *p = &w->full.params;

	for (size_t i = 0; i < p->n_items; i++)
		memcpy(p->w + p->items[i].offset, w->model.weights[p->items[i].weight].data,
		       p->items[i].n * sizeof(float));
	w->grads = arena_alloc64(&w->mem, p->n * sizeof(float));
	w->adamw = (struct adamw_options){ 0.9, 0.95, 1e-12 };
	struct optim_settings s = { .learning_rate = w->o->rate, .options = &w->adamw };
	optim_init(&w->optim, optimizer_find("adamw"), &s, p, w->device->kernels, w->device->pool);
	return record_watched(w, e) < 0 || record_trained(w, e) < 0 ? -1 : optim_start(&w->optim, e);
}

static void close_width(struct width *w)
{
	model_pass_release(&w->watched);
	model_pass_release(&w->trained);
	optim_release(&w->optim);
	overlay_release(&w->full);
	model_close(&w->model);
	arena_release(&w->mem);
}

static int check_width(struct coordinates *out, const json_t *config, const struct coordinate_options *o, int number,
                       struct device *d, struct err *e)
{
	struct width *w = mem_alloc(sizeof(*w));
	struct init_options plain = { .seed = o->seed };

	*w = (struct width){ .out = out, .o = o, .device = d, .number = number };
	int status = model_new_facts(&w->model, config, &plain, e);
	w->narrow = status ? 0 : w->model.config.C;
	model_close(&w->model);
	if (status == 0)
		status = open_width(w, config, o->times[number], e) < 0 ? -1 : start_width(w, e);
	for (w->step = 0; status == 0 && w->step < o->steps; w->step++)
		status = look(w, e) < 0 || train(w, e) < 0 ? -1 : 0;
	if (status == 0)
		status = look(w, e);
	close_width(w);
	mem_free(w);
	return status;
}

/* --- slopes --- */

/* Of log x over log times, by least squares. */
static double slope_of(const struct coordinates *c, const struct coordinate_options *o,
                       const double (*x)[COORDINATE_STEPS + 1][COORDINATE_PLACES], int place)
{
	double n = c->n_widths, sum = 0, sums = 0, square = 0, product = 0;

	for (int i = 0; i < c->n_widths; i++) {
		double a = log(o->times[i]), b = log(fmax(x[i][c->n_steps][place], 1e-30));
		sum += a;
		sums += b;
		square += a * a;
		product += a * b;
	}
	return (n * product - sum * sums) / (n * square - sum * sum);
}

int coordinate_check(struct coordinates *out, const json_t *config, const struct coordinate_options *o,
                     struct device *d, struct err *e)
{
	*out = (struct coordinates){ .n_steps = o->steps };
	while (out->n_widths < COORDINATE_WIDTHS && o->times[out->n_widths])
		out->n_widths++;
	if (out->n_widths < 2 || o->steps < 1 || o->steps > COORDINATE_STEPS)
		BUG("%d widths, %d steps", out->n_widths, o->steps);
	for (int i = 0; i < out->n_widths; i++)
		if (check_width(out, config, o, i, d, e) < 0)
			return -1;
	for (int p = 0; p < out->n_places; p++) {
		out->size_slope[p] = slope_of(out, o, out->size, p);
		out->moved_slope[p] = slope_of(out, o, out->moved, p);
		double worst = p + 1 < out->n_places ? fmax(out->size_slope[p], out->moved_slope[p]) :
		                                       out->moved_slope[p];
		out->worst = p ? fmax(out->worst, worst) : worst;
	}
	return 0;
}

bool coordinate_passes(const struct coordinates *c) { return c->worst <= COORDINATE_SLOPE; }

void coordinate_table(const struct coordinates *c, const struct coordinate_options *o, struct buf *out)
{
	buf_addf(out, "%-12s", "width x");
	for (int i = 0; i < c->n_widths; i++)
		buf_addf(out, " %9d", o->times[i]);
	buf_addf(out, "     slope   moved by\n");
	for (int p = 0; p < c->n_places; p++) {
		if (p == 0 || p + 1 == c->n_places)
			buf_addf(out, "%-12s", p ? "logits" : "embeddings");
		else
			buf_addf(out, "block %-6d", p);
		for (int i = 0; i < c->n_widths; i++)
			buf_addf(out, " %9.3g", c->size[i][c->n_steps][p]);
		buf_addf(out, " %9.2f  %9.2f\n", c->size_slope[p], c->moved_slope[p]);
	}
	buf_addf(out, "%-12s", "loss");
	for (int i = 0; i < c->n_widths; i++)
		buf_addf(out, " %9.4f", c->loss[i][c->n_steps - 1]);
	buf_addf(out, "\nlargest slope %.2f: %s\n", c->worst,
	         coordinate_passes(c) ? "sizes do not grow with the width" : "sizes grow with the width");
}
