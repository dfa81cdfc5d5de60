/* optim: deals a row of the optimizers' table the parameters of a run, and the global norm.
 *
 * Work is cut into pieces of 64 Ki numbers of one parameter, so neither the update nor the norm depends on threads; the
 * norm is √ of the pieces' sums of squares, added in double in the order of the table. A parameter that its row takes
 * whole is one item where it has no more numbers than a piece, and then needs scratch for each thread; larger ones come
 * one after another, each with the whole pool.
 *
 * The memory is one mapping: the states in the order of the parameters, each tensor at a multiple of 64 bytes, then
 * tables and scratch. */
#include "train/optim.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/gemm.h"

enum { ALIGN = 64 };

/* --- the table --- */

bool optimizer_rows(size_t i, struct opt_row *out)
{
	const struct optimizer *o = optimizer_table[i];
	if (!o)
		return false;
	*out = (struct opt_row){ .name = o->name,
		                 .summary = o->summary,
		                 .also = o->also,
		                 .standard = o->standard,
		                 .opts = o->opts,
		                 .options_size = o->options_size };
	if (o->rate != 1)
		snprintf(out->note, sizeof(out->note), "learning rate times %g", o->rate);
	return true;
}

static bool means(const struct optimizer *o, const char *name)
{
	if (!name)
		return o->standard;
	if (!strcmp(o->name, name))
		return true;
	for (const char *const *also = o->also; also && *also; also++)
		if (!strcmp(*also, name))
			return true;
	return false;
}

const struct optimizer *optimizer_find(const char *name)
{
	for (size_t i = 0; optimizer_table[i]; i++)
		if (means(optimizer_table[i], name))
			return optimizer_table[i];
	return NULL;
}

/* --- for rows --- */

struct adamw_alone { struct adamw_options o; };
const struct opt adamw_opts[] = { ADAMW_OPTS(struct adamw_alone, o), OPT_END };

struct optim_tensor optim_tensor_like(const struct param *p, const char *name)
{
	struct optim_tensor t = { .name = name, .dtype = DTYPE_F32, .n_dims = p->n_dims };
	memcpy(t.dim, p->dim, sizeof(p->dim));
	return t;
}

int adamw_state(const struct param *p, const void *options, struct optim_tensor *out)
{
	(void)options;
	out[0] = optim_tensor_like(p, "m");
	out[1] = optim_tensor_like(p, "v");
	return 2;
}

double adamw_least(const void *options) { return ((const struct adamw_options *)options)->epsilon; }

struct adamw_step adamw_scalars(const struct optim_update *u, const struct adamw_options *o, double rate)
{
	double beta1 = o->beta1, beta2 = o->beta2;
	return (struct adamw_step){
		.beta1 = (float)beta1,
		.beta2 = (float)beta2,
		.eps = (float)o->epsilon,
		.shrink = (float)(1 - rate * u->decay),
		.g_scale = (float)u->g_scale,
		.rest1 = (float)(1 - beta1),
		.rest2 = (float)(1 - beta2),
		.step = (float)(rate / (1 - pow(beta1, (double)u->t))),
		.inv_sqrt_bias2 = (float)(1 / sqrt(1 - pow(beta2, (double)u->t))),
	};
}

enum { CAUTIOUS_BLOCK = 1024 };

/* What decays is settled before the kernel, by the moment that it will make; the kernel then shrinks nothing. */
static void decay_where_agreed(const struct adamw_step *s, float *w, const float *g, const float *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float x = g[i] * s->g_scale, next = m[i] + s->rest1 * (x - m[i]);
		w[i] = next * w[i] >= 0 ? w[i] * s->shrink : w[i];
	}
}

void adamw_update(const struct kernels *k, const struct adamw_options *o, const struct adamw_step *s, float *w,
                  const float *g, float *m, float *v, size_t n)
{
	struct adamw_step whole = *s;

	if (!o->cautious || s->shrink == 1) {
		k->adamw(w, g, m, v, n, s);
		return;
	}
	whole.shrink = 1;
	for (size_t i = 0, some; i < n; i += some) {
		some = MIN(n - i, (size_t)CAUTIOUS_BLOCK);
		decay_where_agreed(s, w + i, g + i, m + i, some);
		k->adamw(w + i, g + i, m + i, v + i, some, &whole);
	}
}

struct optim_cost adamw_cost(const struct param *p, const void *options)
{
	(void)options;
	return (struct optim_cost){ .flops = 12 * (double)p->n, .bytes = 7 * sizeof(float) * (double)p->n };
}

/* --- pieces --- */

/* The pieces of all parameters, numbered through in table order. */
static size_t pieces_of(const struct param *p)
{
	return (p->n + OPTIM_PIECE - 1) / OPTIM_PIECE;
}

/* Which numbers piece `piece` is: `at` in its parameter, which is found by walking the table. */
struct piece { const struct param *param; size_t at, n; };

static struct piece piece_find(const struct params *params, size_t piece)
{
	for (size_t i = 0; i < params->n_items; i++) {
		const struct param *p = &params->items[i];
		size_t have = pieces_of(p), at = piece * OPTIM_PIECE;
		if (piece < have)
			return (struct piece){ p, at, MIN(p->n - at, (size_t)OPTIM_PIECE) };
		piece -= have;
	}
	BUG("a piece beyond the parameters");
}

size_t optim_piece(const struct params *params, size_t param)
{
	size_t n = 0;
	for (size_t i = 0; i < param; i++)
		n += pieces_of(&params->items[i]);
	return n;
}

size_t optim_partials(const struct params *params) { return optim_piece(params, params->n_items); }

/* A border is where what lies before it is nearest to its share. */
void optim_deal(const struct params *p, size_t n, size_t *first)
{
	double all = (double)params_count(p), before = 0;
	size_t param = 0;

	first[0] = 0;
	for (size_t k = 1; k < n; k++) {
		double wanted = all * (double)k / (double)n;
		while (param < p->n_items && before + 0.5 * (double)p->items[param].n < wanted)
			before += (double)p->items[param++].n;
		first[k] = param;
	}
	first[n] = p->n_items;
}

/* --- the norm --- */

struct norm_work {
	const struct kernels *k;
	const struct params *params;
	const float *g;
	double *partials;
	size_t first;              /* piece */
};

static void norm_piece(void *ctx, size_t item, int thread)
{
	const struct norm_work *w = ctx;
	struct piece p = piece_find(w->params, item += w->first);
	(void)thread;
	w->partials[item] = w->k->sum_squares(w->g + p.param->offset + p.at, p.n);
}

double optim_norm(const struct kernels *k, struct pool *p, const struct params *params, const float *g, double scale,
                  double *partials)
{
	struct norm_work w = { k, params, g, partials, 0 };
	size_t n = optim_partials(params);
	double sum = 0;

	pool_run(p, n, norm_piece, &w);
	for (size_t i = 0; i < n; i++)
		sum += partials[i];
	return fabs(scale) * sqrt(sum);
}

/* Of one group, or of all that have no clip of their own (−1). */
static double norm_of(const struct optim *o, int group, double scale)
{
	const struct params *params = o->params;
	double sum = 0;

	for (size_t i = 0, piece = 0; i < params->n_items; i++) {
		const struct param *p = &params->items[i];
		bool counts = group >= 0 ? p->group == group : isnan(params_group(params, p->group).clip);
		for (size_t end = piece + pieces_of(p); piece < end; piece++)
			sum += counts ? o->partials[piece] : 0;
	}
	return fabs(scale) * sqrt(sum);
}

static double clipped(double scale, double norm, double most)
{
	return most > 0 ? scale * MIN(1.0, most / (norm + 1e-6)) : scale;
}

void optim_square(struct optim *o, const float *g)
{
	struct norm_work w = { o->kernels, o->params, g, o->partials, optim_piece(o->params, o->own_first) };

	pool_run(o->pool, optim_piece(o->params, o->own_end) - w.first, norm_piece, &w);
}

double optim_settle(struct optim *o, double scale, double max_norm)
{
	double norm = 0, common = clipped(scale, norm_of(o, -1, scale), max_norm);

	for (size_t i = 0; i < optim_partials(o->params); i++)
		norm += o->partials[i];
	norm = fabs(scale) * sqrt(norm);

	for (int i = 0; i <= o->params->n_groups; i++) {
		double clip = params_group(o->params, i).clip;
		o->scale[i] = isnan(clip) ? common : clipped(scale, norm_of(o, i, scale), clip);
	}
	return norm;
}

bool optim_vanishes(const struct optim *o, double norm, double max_norm)
{
	double least = o->row->least ? o->row->least(o->settings.options) : FLT_MIN;

	if (max_norm > 0)
		norm = MIN(norm, max_norm);
	return norm < 0.01 * least * sqrt((double)params_count(o->params));
}

double optim_clip(struct optim *o, const float *g, double scale, double max_norm)
{
	optim_square(o, g);
	return optim_settle(o, scale, max_norm);
}

/* --- memory --- */

/* The average comes last. */
static int list_one(const struct optim *o, const struct param *p, struct optim_tensor *list)
{
	int n = o->row->state(p, o->settings.options, list);

	if (o->settings.ema_decay > 0)
		list[n++] = optim_tensor_like(p, "ema");
	return n;
}

static void list_state(struct optim *o)
{
	const struct params *params = o->params;
	size_t n = 0;

	o->slots = mem_array(params->n_items * OPTIM_STATES, sizeof(*o->slots));
	o->first = mem_array(params->n_items + 1, sizeof(*o->first));
	for (size_t i = 0; i < params->n_items; i++) {
		struct optim_tensor list[OPTIM_STATES];
		int listed = list_one(o, &params->items[i], list);
		for (int j = 0; j < listed; j++) {
			struct optim_slot *s = &o->slots[n++];
			size_t numbers = 1;
			*s = (struct optim_slot){ .tensor = list[j], .offset = o->state_bytes };
			for (int d = 0; d < list[j].n_dims; d++)
				numbers *= list[j].dim[d];
			s->bytes = numbers / dtypes[list[j].dtype].block * dtypes[list[j].dtype].bytes;
			o->state_bytes += ROUND_UP(s->bytes, (size_t)ALIGN);
		}
		o->first[i + 1] = n;
	}
}

static bool is_whole(const struct optim *o, const struct param *p)
{
	return o->row->whole && o->row->whole(p);
}

static void count_scratch(struct optim *o)
{
	bool any = false;

	for (size_t i = 0; i < o->params->n_items; i++) {
		const struct param *p = &o->params->items[i];
		if (!is_whole(o, p))
			continue;
		size_t bytes = ROUND_UP(o->row->scratch(p, o->settings.options), (size_t)ALIGN);
		size_t *most = p->n > OPTIM_PIECE ? &o->large_bytes : &o->small_bytes;
		*most = MAX(*most, bytes);
		any = true;
	}
	size_t threads = (size_t)pool_threads(o->pool);
	o->bytes = o->state_bytes + ROUND_UP(o->row->tables_bytes, (size_t)ALIGN) +
	           MAX(o->large_bytes, o->small_bytes * threads) +
	           (any && o->row->products ? gemm_scratch_bytes(o->kernels) * threads : 0);
}

void optim_init(struct optim *o, const struct optimizer *row, const struct optim_settings *s,
                const struct params *params, const struct kernels *k, struct pool *p)
{
	*o = (struct optim){ .row = row, .settings = *s, .params = params, .kernels = k, .pool = p };
	list_state(o);
	count_scratch(o);
	optim_own(o, 0, params->n_items);
	o->partials = mem_array(optim_partials(params), sizeof(*o->partials));
	o->scale = mem_array((size_t)params->n_groups + 1, sizeof(*o->scale));
	for (size_t i = 0; i < params->n_items; i++) {
		struct optim_cost c = row->cost(&params->items[i], s->options);
		o->norm.flops += 2 * (double)params->items[i].n;
		o->norm.bytes += sizeof(float) * (double)params->items[i].n;
		o->update.flops += c.flops;
		o->update.bytes += c.bytes;
		if (s->ema_decay > 0) {
			o->update.flops += 3 * (double)params->items[i].n;
			o->update.bytes += 3 * sizeof(float) * (double)params->items[i].n;
		}
	}
}

/* Where the state of parameter i begins; i may be one too many. */
static size_t state_at(const struct optim *o, size_t i)
{
	return o->first[i] < optim_slots(o) ? o->slots[o->first[i]].offset : o->state_bytes;
}

void optim_own(struct optim *o, size_t first, size_t end)
{
	o->own_first = first;
	o->own_end = end;
	o->taken_bytes = o->bytes - o->state_bytes + state_at(o, end) - state_at(o, first);
}

static char *tables_of(const struct optim *o) { return o->memory + o->state_bytes; }
static char *scratch_of(const struct optim *o)
{
	return tables_of(o) + ROUND_UP(o->row->tables_bytes, (size_t)ALIGN);
}

int optim_start(struct optim *o, struct err *e)
{
	void *memory;

	if (mem_map(&memory, o->bytes, "the optimizer's state", e) < 0)
		return -1;
	o->memory = memory;
	mem_touch(o->memory + state_at(o, o->own_first), state_at(o, o->own_end) - state_at(o, o->own_first));
	mem_touch(o->memory + o->state_bytes, o->bytes - o->state_bytes);
	if (o->row->tables)
		o->row->tables(tables_of(o));
	return 0;
}

size_t optim_slots(const struct optim *o) { return o->first[o->params->n_items]; }
void *optim_data(const struct optim *o, size_t slot) { return o->memory + o->slots[slot].offset; }

void optim_release(struct optim *o)
{
	if (o->memory)
		mem_unmap(o->memory, o->bytes);
	mem_free(o->slots);
	mem_free(o->first);
	mem_free(o->partials);
	mem_free(o->scale);
	*o = (struct optim){ 0 };
}

/* --- the update --- */

struct update_work {
	const struct optim *o;
	const float *g;
	double rate;
	long t;
	size_t first;              /* piece */
};

/* What this step's rate is to a group. */
static double group_rate(const struct optim *o, int group, double rate)
{
	struct param_group g = params_group(o->params, group);
	double peak = o->settings.learning_rate;

	return g.peak > 0 && peak > 0 ? rate / peak * g.peak : rate * g.rate;
}

/* state: [OPTIM_STATES], filled. */
static struct optim_update update_of(const struct update_work *w, const struct param *p, size_t scratch, void **state)
{
	const struct optim *o = w->o;
	size_t i = (size_t)(p - o->params->items), listed = o->first[i + 1] - o->first[i];

	for (size_t j = 0; j < listed; j++)
		state[j] = optim_data(o, o->first[i] + j);
	return (struct optim_update){
		.kernels = o->kernels,
		.pool = o->pool,
		.settings = &o->settings,
		.param = p,
		.w = o->params->w + p->offset,
		.g = w->g + p->offset,
		.state = state,
		.tables = tables_of(o),
		.g_scale = o->scale[p->group],
		.rate = group_rate(o, p->group, w->rate),
		.decay = p->role == PARAM_VECTOR ? 0 : o->settings.weight_decay,
		.t = w->t,
		.scratch = scratch_of(o) + scratch,
		.gemm_scratch = scratch_of(o) + MAX(o->large_bytes, o->small_bytes * (size_t)pool_threads(o->pool)),
	};
}

static void update_range(const struct update_work *w, const struct param *p, size_t at, size_t n, size_t scratch)
{
	void *state[OPTIM_STATES] = { 0 };
	struct optim_update u = update_of(w, p, scratch, state);

	w->o->row->update(&u, at, n);
}

static void update_piece(void *ctx, size_t item, int thread)
{
	const struct update_work *w = ctx;
	struct piece p = piece_find(w->o->params, item + w->first);

	if (!is_whole(w->o, p.param))
		update_range(w, p.param, p.at, p.n, 0);
	else if (p.param->n <= OPTIM_PIECE)
		update_range(w, p.param, 0, p.n, (size_t)thread * w->o->small_bytes);
}

/* --- what counts instead of the weights --- */

static float *ema_of(const struct optim *o, const struct param *p)
{
	return optim_data(o, o->first[p - o->params->items + 1] - 1);
}

static void follow_piece(void *ctx, size_t item, int thread)
{
	const struct update_work *w = ctx;
	struct piece p = piece_find(w->o->params, item + w->first);
	float *ema = ema_of(w->o, p.param) + p.at, rest = w->t == 1 ? 1 : (float)(1 - w->o->settings.ema_decay);
	const float *x = w->o->params->w + p.param->offset + p.at;

	(void)thread;
	for (size_t i = 0; i < p.n; i++)
		ema[i] += rest * (x[i] - ema[i]);
}

static void show_piece(void *ctx, size_t item, int thread)
{
	const struct update_work *w = ctx;
	struct piece p = piece_find(w->o->params, item + w->first);
	void *state[OPTIM_STATES] = { 0 };

	(void)thread;
	if (w->o->settings.ema_decay > 0) {
		memcpy(w->o->params->w + p.param->offset + p.at, ema_of(w->o, p.param) + p.at, p.n * sizeof(float));
		return;
	}
	struct optim_update u = update_of(w, p.param, 0, state);
	w->o->row->averaged(&u, p.at, p.n);
}

bool optim_averages(const struct optim *o) { return o->settings.ema_decay > 0 || o->row->averaged; }

/* to and from: [params->n]; what is here of them. */
static void copy_weights(const struct optim *o, float *to, const float *from)
{
	const struct params *p = o->params;
	size_t first = o->apart && o->own_first < p->n_items ? p->items[o->own_first].offset : 0;
	size_t end = o->apart && o->own_end < p->n_items ? p->items[o->own_end].offset : p->n;

	if (!o->apart || o->own_first < o->own_end)
		memcpy(to + first, from + first, (end - first) * sizeof(*to));
}

void optim_show(const struct optim *o, float *kept)
{
	struct update_work w = { .o = o, .g = o->params->w, .first = optim_piece(o->params, o->own_first) };

	if (!optim_averages(o))
		BUG("the average of an optimizer that has none");
	if (kept)
		copy_weights(o, kept, o->params->w);
	pool_run(o->pool, optim_piece(o->params, o->own_end) - w.first, show_piece, &w);
}

void optim_hide(const struct optim *o, const float *kept)
{
	copy_weights(o, o->params->w, kept);
}

void optim_step(struct optim *o, const float *g, double rate, long t)
{
	struct update_work w = { .o = o, .g = g, .rate = rate, .t = t,
		                 .first = optim_piece(o->params, o->own_first) };

	if (t < 1)
		BUG("an optimizer's step %ld; they count from 1", t);
	for (size_t i = o->own_first; o->row->begin && i < o->own_end; i++) {
		void *state[OPTIM_STATES] = { 0 };
		struct optim_update u = update_of(&w, &o->params->items[i], 0, state);
		o->row->begin(&u);
	}
	pool_run(o->pool, optim_piece(o->params, o->own_end) - w.first, update_piece, &w);
	for (size_t i = o->own_first; i < o->own_end; i++) {
		const struct param *p = &o->params->items[i];
		if (p->n > OPTIM_PIECE && is_whole(o, p))
			update_range(&w, p, 0, p->n, 0);
	}
	if (o->settings.ema_decay > 0)
		pool_run(o->pool, optim_piece(o->params, o->own_end) - w.first, follow_piece, &w);
}
