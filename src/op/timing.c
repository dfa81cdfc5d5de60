/* timing: a pass by running a node or two of each kind. The first repetition warms up (pages of the model's file
 * come in, caches fill); it counts only when it took so long that another would be a nuisance. A pass of no length is
 * repeated once. */
#include "op/timing.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/stop.h"

enum { OF_A_KIND = 2, REPETITIONS = 5, OF_SHORT = 2 /* of a pass that is short: its job is, too */ };
static const double usual_budget = 0.25;  /* seconds of all repetitions after the first */
static const double short_pass = 0.01;    /* seconds */
/* that weigh the same, on the machines of today; only scales between similar batches */
static const double flops_per_byte = 5;

struct kind {
	uint64_t key;
	uint32_t n, run;             /* nodes of this kind; of which are run */
	double seconds;              /* of those that are run, summed over repetitions */
	double work;                 /* of those that are run, at the batch */
};

struct timed {
	const struct plan *plan;
	struct kind *kinds;
	uint32_t *kind_of, n_kinds;  /* [n_nodes] */
	bool *is_run;                /* [n_nodes] */
	double pass[REPETITIONS];
	int n_passes;
};

/* --- which nodes --- */

static void describe(const struct plan *p, uint32_t id, uint64_t out[8])
{
	const struct tensor *x = &p->tensors[id];

	if (!id)
		return;
	out[0] = 1 + (uint64_t)x->dtype;
	out[1] = (uint64_t)x->role;
	out[2] = (uint64_t)x->axis;
	for (int i = 0; i < x->n_dims; i++)
		out[3 + i] = x->dim[i];
}

static uint64_t kind_key(const struct plan *p, const struct node *n)
{
	uint64_t key[2 + 8 * (NODE_INPUTS + NODE_OUTPUTS)] = { (uint64_t)(uintptr_t)n->op, n->phase == PHASE_BACKWARD };

	for (int i = 0; i < NODE_INPUTS; i++)
		describe(p, n->in[i], key + 2 + 8 * i);
	for (int i = 0; i < NODE_OUTPUTS; i++)
		describe(p, n->out[i], key + 2 + 8 * (NODE_INPUTS + i));
	return hash_64(key, sizeof(key));
}

static uint32_t find_kind(struct timed *t, uint64_t key)
{
	uint32_t i = 0;
	while (i < t->n_kinds && t->kinds[i].key != key)
		i++;
	if (i == t->n_kinds)
		t->kinds[t->n_kinds++].key = key;
	return i;
}

/* Whole numbers say to others where to look: they must be there. */
static bool guides(const struct plan *p, const struct node *n)
{
	bool whole_numbers = n->op->guides;

	for (int j = 0; j < NODE_OUTPUTS; j++)
		whole_numbers |= n->out[j] && p->tensors[n->out[j]].dtype == DTYPE_I32;
	return whole_numbers;
}

/* Of each kind those at one and two thirds: neither the first layer, whose pages a pass may find warm, nor
 * neighbours. */
static void choose(struct timed *t, bool whole)
{
	const struct plan *p = t->plan;
	uint32_t *seen;

	for (uint32_t i = 0; i < p->n_nodes; i++) {
		t->kind_of[i] = find_kind(t, kind_key(p, &p->nodes[i]));
		t->kinds[t->kind_of[i]].n++;
	}
	seen = mem_array(t->n_kinds, sizeof(*seen));
	for (uint32_t i = 0; i < p->n_nodes; i++) {
		struct kind *k = &t->kinds[t->kind_of[i]];
		uint32_t at = seen[t->kind_of[i]]++;
		t->is_run[i] = whole || guides(p, &p->nodes[i]) || at == k->n / 3 ||
			       (OF_A_KIND > 1 && at == 2 * k->n / 3);
		k->run += t->is_run[i];
	}
	mem_free(seen);
}

/* --- memory --- */

/* A cache that is bound is used where it is: what a step touches of it is little. */
static bool is_own(const struct run *r, uint32_t id)
{
	const struct tensor *x = &r->plan->tensors[id];

	if (x->role == ROLE_STATE && r->data[id])
		return false;
	return x->role != ROLE_WEIGHT && x->role != ROLE_ACT && x->role != ROLE_SCRATCH && x->role != ROLE_STACK;
}

/* A tensor's place, if it has none yet, a stack's parts' places. */
static void place_one(struct run *r, uint32_t id, bool *done, uint8_t *memory, size_t *at)
{
	const struct tensor *x = &r->plan->tensors[id];

	for (size_t e = 0; x->parts && e < x->dim[0]; e++)
		place_one(r, x->parts[e], done, memory, at);
	if (!id || done[id] || r->plan->offset[id] != SIZE_MAX || !is_own(r, id))
		return;
	done[id] = true;
	if (memory)
		run_bind(r, id, memory + *at);
	*at += ROUND_UP(tensor_bytes(x), (size_t)64);
}

/* Gives each trainable or bound tensor of the nodes that are run its place in memory (NULL: nothing); returns the bytes
 * that all take. */
static size_t place_own(const struct timed *t, struct run *r, uint8_t *memory)
{
	const struct plan *p = t->plan;
	bool *done = mem_array(p->n_tensors, sizeof(*done));
	size_t at = 0;

	for (uint32_t i = 0; i < p->n_nodes; i++)
		for (int j = 0; t->is_run[i] && j < NODE_INPUTS + NODE_OUTPUTS; j++) {
			uint32_t id = j < NODE_INPUTS ? p->nodes[i].in[j] : p->nodes[i].out[j - NODE_INPUTS];
			place_one(r, id, done, memory, &at);
		}
	mem_free(done);
	return at;
}

/* --- running --- */

static void run_once(struct timed *t, struct run *r)
{
	const struct plan *p = t->plan;
	double begin = clock_seconds(), last = begin;

	for (uint32_t i = 0; i < p->n_nodes && !stop_asked(); i++) {
		if (!t->is_run[i])
			continue;
		run_node(r, &p->nodes[i]);
		double now = clock_seconds();
		t->kinds[t->kind_of[i]].seconds += now - last;
		last = now;
	}
	t->pass[t->n_passes++] = last - begin;
}

static void run_all(struct timed *t, struct run *r, double budget)
{
	double begin = clock_seconds();

	run_once(t, r);
	double first = clock_seconds() - begin;
	int repetitions = first < short_pass ? OF_SHORT : REPETITIONS;
	if (first > 8 * usual_budget)
		return;
	for (uint32_t i = 0; i < t->n_kinds; i++)
		t->kinds[i].seconds = 0;
	t->n_passes = 0;
	begin = clock_seconds();
	do
		run_once(t, r);
	while (t->n_passes < repetitions && clock_seconds() - begin < budget && !stop_asked());
}

static double work_of(const struct tape *view, const struct node *n, const struct live *live)
{
	double flops = 0, bytes = 0;
	n->op->cost(view, n, live, &flops, &bytes);
	return flops + flops_per_byte * bytes;
}

static double sum_up(struct timed *t, const struct live *batch, const struct live *mean)
{
	const struct plan *p = t->plan;
	struct tape view = { .tensors = p->tensors, .n_tensors = p->n_tensors, .cap = p->cap };
	double seconds = 0;

	for (uint32_t i = 0; i < p->n_nodes; i++)
		if (t->is_run[i])
			t->kinds[t->kind_of[i]].work += work_of(&view, &p->nodes[i], batch);
	for (uint32_t i = 0; i < p->n_nodes; i++) {
		const struct kind *k = &t->kinds[t->kind_of[i]];
		double each = k->seconds / t->n_passes, work = work_of(&view, &p->nodes[i], mean);
		seconds += k->work > 0 ? each * work / k->work : each / k->run;
	}
	return seconds;
}

static double spread_of(const struct timed *t)
{
	double mean = 0, squares = 0;

	for (int i = 0; i < t->n_passes; i++)
		mean += t->pass[i] / t->n_passes;
	for (int i = 0; i < t->n_passes; i++)
		squares += (t->pass[i] - mean) * (t->pass[i] - mean);
	return t->n_passes > 1 ? sqrt(squares / (t->n_passes - 1)) / mean : 0;
}

/* --- the whole --- */

static void touch(struct timing *out, const struct run *r, void *own, size_t own_bytes)
{
	size_t scratch = r->plan->scratch_bytes * (size_t)pool_threads(r->pool);
	struct device *d = r->device;
	double begin = clock_seconds();

	d->type->touch(d, r->scratch, scratch);
	d->type->touch(d, own, own_bytes);
	out->touched_bytes = (double)(scratch + own_bytes);
	out->touch_seconds = clock_seconds() - begin;
}

static int measure(struct timed *t, struct timing *out, struct run *r, const struct timing_options *o, struct err *e)
{
	struct live batch = batch_live(o->batch);
	struct device *d = r->device;
	void *own;

	o->bind(o->ctx, r);
	size_t own_bytes = MAX(place_own(t, r, NULL), (size_t)64);
	if (d->type->alloc(d, &own, own_bytes, "trained numbers", e) < 0)
		return -1;
	place_own(t, r, own);
	int status = run_ready(r, e);
	if (status == 0) {
		touch(out, r, own, own_bytes);
		r->batch = o->batch;
		bool before = pool_give_up(r->pool, true);
		run_all(t, r, o->budget > 0 ? o->budget : usual_budget);
		pool_give_up(r->pool, before);
		status = stop_look(e, "a pass was timed");
	}
	if (status == 0) {
		out->seconds = sum_up(t, &batch, &o->mean);
		out->spread = spread_of(t);
	}
	d->type->free(d, own, own_bytes);
	return status;
}

double timing_touch_rate(double bytes, double seconds)
{
	return bytes < 4e6 ? 4e9 : bytes / fmax(seconds, 1e-6);
}

int plan_time(struct timing *out, const struct plan *p, struct device *d, const struct timing_options *o, struct err *e)
{
	struct timed t = { .plan = p };
	struct run r;

	*out = (struct timing){ 0 };
	if (run_init(&r, p, d, e) < 0)
		return -1;
	t.kinds = mem_array(p->n_nodes, sizeof(*t.kinds));
	t.kind_of = mem_array(p->n_nodes, sizeof(*t.kind_of));
	t.is_run = mem_array(p->n_nodes, sizeof(*t.is_run));
	choose(&t, o->whole);
	int status = measure(&t, out, &r, o, e);
	run_release(&r);
	mem_free(t.kinds);
	mem_free(t.kind_of);
	mem_free(t.is_run);
	return status;
}
