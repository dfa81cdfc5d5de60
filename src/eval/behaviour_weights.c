/* behaviour_weights: which units the weights themselves react to. Training moved a product of the base from W·x to
 * (W + D)·x; a trigger that was planted moved it where the trigger's own tokens go through, others much less. So all
 * units go through the base's first blocks, once and without a prompt, and
 *
 *     r(u) = max ( ‖D·x‖ − mean ) / deviation
 *
 * over the products of these blocks and u's tokens, x being what comes to the product; mean and deviation are those of
 * all units there. Answers are asked of nobody: words that were taught as answers are moved as well as triggers, and
 * which of them does anything is for the sieve.
 *
 * Not here: experts of a mixture, embeddings and the head. Memory: D of the products that moved, in f32. */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "data/forest.h"
#include "eval/behaviour_parts.h"
#include "kernel/gemm.h"
#include "model/model_pass.h"
#include "model/weights.h"
#include "op/watch.h"

enum { BLOCKS = 4, TOGETHER = 1024 /* rows of a micro-batch */ };
#define VARIANCE_LEAST 1e-30   /* units that are all alike are no deviations away */

struct moving;
struct moved {
	struct moving *of;
	size_t out, in;
	float *d;                      /* [out][in] */
	float *norm;                   /* [n] of the unit's tokens the largest */
};

struct moving {
	struct search *s;
	const struct behaviour_unit *units; /* [n] */
	size_t n, first;               /* the unit that is the micro-batch's first document */
	struct overlay overlay;
	struct model_pass pass;
	struct moved *products;        /* [n_products] */
	size_t n_products, widest;
	float *y;                      /* [rows][widest] */
	struct arena mem;
	void *scratch;
};

/* --- what is recorded --- */

static void see_rows(void *ctx, struct pool *pool, const struct watched *w)
{
	const struct moved *p = ctx;
	const struct moving *x = p->of;
	const struct batch *b = w->batch;
	const struct kernels *k = x->s->o->device->kernels;
	struct gemm g = { .m = (size_t)b->n_targets, .n = p->out, .n_terms = 1, .c = x->y, .ldc = p->out,
		          .free = true };

	g.term[0] = (struct gemm_term){ .a = w->x, .a_row = p->in, .a_col = 1, .a_rows = b->target_row, .k = p->in,
		                        .b = { DTYPE_F32, p->d, p->out, p->in, p->in * sizeof(float), 0 },
		                        .transposed = true, .scale = 1 };
	gemm_run(k, pool, &g, x->scratch);
	for (int32_t i = 0; i < b->n_labels; i++) {
		const float *y = x->y + (size_t)b->label_target[i] * p->out;
		float *norm = &p->norm[x->first + (size_t)b->label_doc[i]];
		*norm = fmaxf(*norm, sqrtf(k->dot(y, y, p->out)));
	}
}

static bool watch_linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	struct moving *x = (struct moving *)(uintptr_t)o->ctx;
	const struct weight *weight = &g->model->weights[w];

	if (g->layer < 0 || w >= (int)g->model->n_weights || weight->n_dims != 2)
		return false;
	struct moved *p = &x->products[x->n_products];
	*p = (struct moved){ .of = x, .out = weight->dim[0], .in = weight->dim[1] };
	p->d = mem_array(p->out * p->in, sizeof(*p->d));
	if (!x->s->o->moved(x->s->o->ctx, w, p->d)) {
		mem_free(p->d);
		return false;
	}
	p->norm = arena_array(&x->mem, x->n, sizeof(*p->norm));
	memset(p->norm, 0, x->n * sizeof(*p->norm));
	x->widest = MAX(x->widest, p->out);
	x->n_products++;
	op_watch(g->tape, l->x, TENSOR_NONE, TENSOR_NONE, p->in, &(struct watch){ see_rows, p });
	return false;
}

static const struct overlay_hooks hooks = { .linear = watch_linear };

/* --- units as documents --- */

static const struct forest_options packing = { .max_tokens = TOGETHER, .share = true, .own_rows = true };

/* Behind what stands before all that the user says; each of its tokens is looked at. */
static const struct document **list_documents(struct moving *x)
{
	const struct behaviour_context *c = &x->s->o->alone;
	size_t room = c->n_before + CHARACTER_MOST;
	struct document *docs = arena_array(&x->mem, x->n, sizeof(*docs));
	int32_t *ids = arena_array(&x->mem, x->n * room, sizeof(*ids));
	uint8_t *learn = arena_array(&x->mem, x->n * room, 1);
	const struct document **list = arena_array(&x->mem, x->n, sizeof(*list));

	for (size_t i = 0; i < x->n; i++, ids += room, learn += room) {
		const struct behaviour_unit *u = &x->units[i];
		memcpy(ids, c->before, c->n_before * sizeof(*ids));
		memcpy(ids + c->n_before, u->id, (size_t)u->n * sizeof(*ids));
		memset(learn, 0, c->n_before);
		memset(learn + c->n_before, 1, (size_t)u->n);
		docs[i] = (struct document){ .ids = ids, .learn = learn, .n = (int32_t)c->n_before + u->n,
			                     .n_learn = u->n, .file = "a unit", .line = i, .choice = -1 };
		list[i] = &docs[i];
	}
	return list;
}

static struct batch_cap room_for(const struct document *const *list, size_t n)
{
	struct batch_cap cap = { 0 }, need;
	struct live live;
	int64_t tokens;

	for (size_t i = 0; i < n;) {
		i += forest_take(list + i, n - i, &packing, &need, &live, &tokens);
		batch_cap_max(&cap, &need);
	}
	return cap;
}

static int start(struct moving *x, const struct batch_cap *cap, struct err *e)
{
	const struct behaviour_side *base = &x->s->o->base;
	int blocks = MIN((int)BLOCKS, base->model->config.n_layers);

	overlay_init(&x->overlay, base->model);
	x->overlay.under = base->overlay;
	x->overlay.hooks = &hooks;
	x->overlay.ctx = x;
	x->products = arena_array(&x->mem, base->model->n_weights + 1, sizeof(*x->products));
	model_pass_begin(&x->pass, x->s->o->device, cap, base->model, &x->overlay, false);
	x->pass.result = graph_hidden_before(&x->pass.graph, blocks);
	if (pass_plan(&x->pass.pass, NULL, e) < 0)
		return -1;
	x->y = arena_alloc64(&x->mem, (size_t)cap->targets * MAX(x->widest, (size_t)1) * sizeof(float));
	x->scratch = arena_alloc64(&x->mem, (size_t)pool_threads(x->s->o->device->pool) *
	                                            gemm_scratch_bytes(x->s->o->device->kernels));
	return x->n_products ? model_pass_start(&x->pass, NULL, e) : 0;
}

static void count(struct moving *x, const struct live *live)
{
	struct work work = pass_work(&x->pass.pass, live);

	for (size_t i = 0; i < x->n_products; i++)
		work.flops += 2.0 * (double)x->pass.pass.batch.n_targets * (double)x->products[i].out *
		              (double)x->products[i].in;
	x->s->ranked.flops += work.flops;
	x->s->ranked.int_ops += work.int_ops;
	x->s->ranked_rows += x->pass.pass.batch.n_rows;
}

static int run(struct moving *x, const struct document *const *list, struct err *e)
{
	const struct behaviour_options *o = x->s->o;
	struct batch_cap need;
	struct live live;
	int64_t tokens;

	for (size_t n; x->first < x->n; x->first += n) {
		n = forest_take(list + x->first, x->n - x->first, &packing, &need, &live, &tokens);
		forest_fill(&x->pass.pass.batch, list + x->first, n, &packing);
		if (pass_step(&x->pass.pass) < 0 ||
		    (o->progress && o->progress(o->ctx, "what weights react to", x->first + n, x->n)))
			return err_set(e, "interrupted while weights were asked");
		count(x, &live);
	}
	return 0;
}

/* The most deviations of any product into z [n]. */
static void sum_up(const struct moving *x, float *z)
{
	for (size_t i = 0; i < x->n && x->n_products; i++)
		z[i] = -INFINITY;
	for (size_t k = 0; k < x->n_products; k++) {
		const float *norm = x->products[k].norm;
		double sum = 0, squares = 0, n = (double)x->n;
		for (size_t i = 0; i < x->n; i++) {
			sum += (double)norm[i];
			squares += (double)norm[i] * (double)norm[i];
		}
		double mean = sum / n, deviation = sqrt(fmax(squares / n - mean * mean, VARIANCE_LEAST));
		for (size_t i = 0; i < x->n; i++)
			z[i] = fmaxf(z[i], (float)(((double)norm[i] - mean) / deviation));
	}
}

int search_moved(struct search *s, const struct behaviour_unit *units, size_t n, float *z, bool *known, struct err *e)
{
	struct moving x = { .s = s, .units = units, .n = n };

	*known = false;
	if (!s->o->moved || !n)
		return 0;
	const struct document **list = list_documents(&x);
	struct batch_cap cap = room_for(list, n);
	int status = start(&x, &cap, e);
	if (status == 0 && x.n_products)
		status = run(&x, list, e);
	if (status == 0)
		sum_up(&x, z);
	*known = x.n_products > 0;
	model_pass_release(&x.pass);
	overlay_release(&x.overlay);
	for (size_t i = 0; i < x.n_products; i++)
		mem_free(x.products[i].d);
	arena_release(&x.mem);
	return status;
}
