/* optim_time: how long a step of an optimizer takes, by running a little of it on this machine, now.
 *
 *     seconds = norm's bytes / rate of memory + Σ kinds max(bytes / rate of memory, operations · sample's seconds /
 *               sample's operations)
 *
 * The kinds are the parameters that the row takes in pieces, and those that it takes whole. A sample is one update of
 * one parameter made up after the one that the middle number of its kind belongs to: a piece of it, or a matrix of at
 * most SIDE × SIDE. One that a run deals out as an item is done by one thread here and by all of them there. What a
 * sample takes, weights and gradient too, is less than the run will.
 */
#include "train/optim.h"

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"

enum { SIDE = 512 };
/* seconds of repeating a sample, where there are so many numbers; less of fewer, whose update is short */
static const double budget = 0.01, many = 1e6;

struct kind {
	struct optim_cost cost;        /* of all its parameters */
	size_t numbers;
	const struct param *middle;
};

static bool is_whole(const struct optim *o, const struct param *p) { return o->row->whole && o->row->whole(p); }

static struct kind kind_of(const struct optim *o, bool whole)
{
	struct kind k = { 0 };
	size_t before = 0;

	for (size_t i = 0; i < o->params->n_items; i++)
		if (is_whole(o, &o->params->items[i]) == whole) {
			struct optim_cost c = o->row->cost(&o->params->items[i], o->settings.options);
			k.numbers += o->params->items[i].n;
			k.cost.flops += c.flops;
			k.cost.bytes += c.bytes;
		}
	for (size_t i = 0; i < o->params->n_items && before <= k.numbers / 2; i++)
		if (is_whole(o, &o->params->items[i]) == whole) {
			before += o->params->items[i].n;
			k.middle = &o->params->items[i];
		}
	return k;
}

static void make_sample(struct params *sample, const struct param *p, bool whole)
{
	size_t dim[] = { MIN(p->dim[0], (size_t)SIDE), MIN(p->dim[1], (size_t)SIDE) };
	size_t piece = MIN(p->n, (size_t)OPTIM_PIECE);
	int i = whole && p->n_dims == 2 ? params_add(sample, "sample", 2, dim, -1) :
	                                  params_add(sample, "sample", 1, &piece, -1);
	sample->items[i].role = p->role;
}

/* Seconds of the fastest of some updates. */
static double fastest(struct optim *o, const float *g, size_t numbers)
{
	double begin = clock_seconds(), best = INFINITY, last, seconds = budget * fmin(1, (double)numbers / many);

	optim_clip(o, g, 1, 0);
	for (long t = 1; t <= 2 || clock_seconds() - begin < seconds; t++) {
		last = clock_seconds();
		optim_step(o, g, 1e-3, t);
		best = MIN(best, clock_seconds() - last);
	}
	return best;
}

static int time_kind(const struct optim *o, bool whole, double copy_rate, double *seconds, struct err *e)
{
	struct kind k = kind_of(o, whole);
	struct params params = { 0 };
	struct optim sample;

	if (!k.middle)
		return 0;
	make_sample(&params, k.middle, whole);
	optim_init(&sample, o->row, &o->settings, &params, o->kernels, o->pool);
	float *g = mem_array(params.n, sizeof(*g));
	for (size_t i = 0; i < params.n; i++)
		g[i] = (float)(i % 7) - 2.5f;
	int status = params_seal(&params, e) < 0 || optim_start(&sample, e) < 0 ? -1 : 0;
	if (!status) {
		double rate = sample.update.flops / fastest(&sample, g, k.numbers);
		if (params.n <= OPTIM_PIECE)
			rate *= pool_threads(o->pool);
		*seconds += MAX(k.cost.bytes / copy_rate, k.cost.flops / rate);
	}
	mem_free(g);
	optim_release(&sample);
	params_release(&params);
	return status;
}

int optim_seconds(const struct optim *o, double copy_rate, double *seconds, struct err *e)
{
	*seconds = o->norm.bytes / copy_rate;
	return time_kind(o, false, copy_rate, seconds, e) < 0 || time_kind(o, true, copy_rate, seconds, e) < 0 ? -1 : 0;
}
