/* plan: lifetimes, placement, recomputation. See plan.h.
 *
 * Passes over a copy of the tape:
 *   1. rewrite   forward activations that are to be dropped get a copy of their producer in front of the first
 *                backward node that reads them (recursively for inputs that nobody keeps); those that are kept in 8
 *                bits are packed in front of their last reader forward, and unpacked where they would be made again;
 *   then nodes are fused (op/fuse.h)
 *   2. lifetimes first and last node of every arena tensor; an output may take over an input's place when that is
 *                its last reader, backward and recomputed readers counted;
 *   3. placement offline: largest bytes × life first, into the best gap among placed neighbours in time.
 * The search for a limit drops a growing prefix of the candidates, ordered by cost per byte saved, with the real
 * placement as the oracle, so the peak is exact and includes the transients of recomputation. */
#include "op/plan.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/mem.h"
#include "op/eighths.h"
#include "op/fuse.h"
#include "op/roofline.h"

enum { PLAN_ALIGN = 64 };

struct candidate {
	uint32_t tensor;
	double cost_per_byte;
	int layer;
};

/* What stays the same over all probes of one search. */
struct planner {
	const struct tape *tape;
	const struct kernels *kernels;
	const struct plan_options *options;
	bool *saved;              /* [n_tensors] a backward node reads it */
	bool *crosses;            /* [n_tensors] read in another layer than it was made in */
	bool *cheap;              /* [n_tensors] dropped always */
	bool *packed;             /* [n_tensors] kept in 8 bits where it is kept */
	uint32_t *last;           /* [n_tensors] the last forward node that reads it, or that makes it */
	struct candidate *candidates;
	size_t n_candidates;
};

/* One probe's rewritten tape. */
struct rewrite {
	const struct planner *planner;
	const bool *dropped;      /* [tape tensors] */
	uint32_t *copy;           /* [tape tensors] its recomputed stand-in, or TENSOR_NONE */
	uint32_t *eighths;        /* [tape tensors] what it is kept as, or TENSOR_NONE: itself */
	struct tensor *tensors;
	struct node *nodes;
	uint32_t n_tensors, cap_tensors, n_nodes, cap_nodes, n_recomputed;
};

struct life {
	uint32_t tensor, first, last;
	size_t bytes, offset;
	uint32_t root;            /* the tensor whose place it shares; itself if none */
};

/* --- what may be dropped --- */

static const struct node *producer_of(const struct tape *t, uint32_t x)
{
	uint32_t p = t->tensors[x].producer;
	return p ? &t->nodes[p - 1] : NULL;
}

static bool is_recomputable(const struct tape *t, uint32_t x)
{
	const struct node *n = producer_of(t, x);
	if (!n || t->tensors[x].role != ROLE_ACT || n->phase != PHASE_FORWARD || n->op->starts_gradient)
		return false;
	for (int i = 0; i < NODE_OUTPUTS; i++)
		if (n->out[i] && t->tensors[n->out[i]].role != ROLE_ACT && t->tensors[n->out[i]].role != ROLE_SCRATCH)
			return false;
	return true;
}

static void find_readers(struct planner *p)
{
	const struct tape *t = p->tape;
	for (uint32_t i = 0; i < t->n_nodes; i++)
		for (int j = 0; j < NODE_INPUTS; j++) {
			uint32_t x = t->nodes[i].in[j];
			const struct node *made = x ? producer_of(t, x) : NULL;
			if (!made)
				continue;
			if (t->nodes[i].phase == PHASE_BACKWARD)
				p->saved[x] |= made->phase == PHASE_FORWARD;
			else
				p->crosses[x] |= made->layer != t->nodes[i].layer;
		}
}

static struct live capacity_live(const struct batch_cap *c)
{
	double rows = c->rows;
	struct live l = { .rows = rows, .targets = c->targets, .labels = c->labels };

	live_see(&l, 1, rows);
	return l;
}

/* The seconds of making x again, with what nobody keeps of its inputs. */
static double recompute_cost(const struct planner *p, uint32_t x, const struct live *live)
{
	const struct node *n = producer_of(p->tape, x);
	double cost = node_seconds(p->options->speeds, p->tape, n, live);
	for (int i = 0; i < NODE_INPUTS; i++)
		if (n->in[i] && is_recomputable(p->tape, n->in[i]) && !p->crosses[n->in[i]] && !p->saved[n->in[i]])
			cost += recompute_cost(p, n->in[i], live);
	return cost;
}

static int by_cost_per_byte(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	if (x->cost_per_byte != y->cost_per_byte)
		return x->cost_per_byte < y->cost_per_byte ? -1 : 1;
	if (x->layer != y->layer)
		return x->layer > y->layer ? -1 : 1;
	return x->tensor < y->tensor ? -1 : x->tensor > y->tensor;
}

static void find_candidates(struct planner *p)
{
	const struct tape *t = p->tape;
	struct live live = p->options->live ? *p->options->live : capacity_live(&t->cap);

	p->candidates = mem_array(t->n_tensors, sizeof(*p->candidates));
	for (uint32_t x = 1; x < t->n_tensors; x++) {
		if (!p->saved[x] || !is_recomputable(t, x))
			continue;
		const struct node *n = producer_of(t, x);
		if (n->op->cheap && n->out[0] == x && !p->crosses[x]) {
			p->cheap[x] = true;
		} else if (!p->crosses[x] && n->layer >= 0) {
			double bytes = (double)tensor_bytes(&t->tensors[x]);
			p->candidates[p->n_candidates++] =
				(struct candidate){ x, recompute_cost(p, x, &live) / bytes, n->layer };
		}
	}
	qsort(p->candidates, p->n_candidates, sizeof(*p->candidates), by_cost_per_byte);
}

/* Rows of numbers that a block makes, or passes on, for its backward. */
static bool may_pack(const struct planner *p, uint32_t i)
{
	const struct tensor *x = &p->tape->tensors[i];
	const struct node *made = producer_of(p->tape, i);

	return p->saved[i] && !p->cheap[i] && !x->kept && is_recomputable(p->tape, i) && x->dtype == DTYPE_F32 &&
	       x->axis != AXIS_FIXED && x->n_dims == 2 && x->dim[1] >= EIGHTHS_BLOCK &&
	       (made->layer >= 0 || p->crosses[i]);
}

static void leave_exact(struct planner *p, const struct node *n)
{
	for (int j = 0; j < NODE_INPUTS; j++)
		if (n->op->exact >> j & 1)
			p->packed[n->in[j]] = false;
	for (int j = 0; j < NODE_OUTPUTS; j++)
		if (n->op->exact & SAVES_OUT(j))
			p->packed[n->out[j]] = false;
}

static void find_packed(struct planner *p)
{
	const struct tape *t = p->tape;

	for (uint32_t x = 1; x < t->n_tensors; x++) {
		p->packed[x] = may_pack(p, x);
		p->last[x] = t->tensors[x].producer ? t->tensors[x].producer - 1 : 0;
	}
	for (uint32_t i = 0; i < t->n_nodes; i++) {
		leave_exact(p, &t->nodes[i]);
		for (int j = 0; j < NODE_INPUTS; j++)
			if (t->nodes[i].phase == PHASE_FORWARD)
				p->last[t->nodes[i].in[j]] = i;
	}
}

/* --- pass 1: the rewrite --- */

static uint32_t rewrite_tensor(struct rewrite *w, const struct tensor *like)
{
	if (w->n_tensors == w->cap_tensors)
		w->tensors = mem_grow(w->tensors, w->cap_tensors *= 2, sizeof(*w->tensors));
	w->tensors[w->n_tensors] = *like;
	return w->n_tensors++;
}

static void rewrite_node(struct rewrite *w, const struct node *n)
{
	if (w->n_nodes == w->cap_nodes)
		w->nodes = mem_grow(w->nodes, w->cap_nodes *= 2, sizeof(*w->nodes));
	w->nodes[w->n_nodes++] = *n;
}

/* Is the original there when backward comes to it? */
static bool is_kept(const struct rewrite *w, uint32_t x)
{
	const struct planner *p = w->planner;
	return !is_recomputable(p->tape, x) || (!w->dropped[x] && (p->saved[x] || p->crosses[x]));
}

/* `op` from x to y, as a part of the block that x is made in. */
static void rewrite_convert(struct rewrite *w, const struct op *op, uint32_t of, uint32_t x, uint32_t y,
                            enum phase phase)
{
	struct node n = { .op = op, .in = { x }, .out = { y }, .phase = phase,
		          .layer = producer_of(w->planner->tape, of)->layer };

	rewrite_node(w, &n);
}

static bool is_packed(const struct rewrite *w, uint32_t x)
{
	return w->planner->packed[x] && !w->dropped[x];
}

/* What is packed when node i has been, or, where it makes it, is done. */
static void rewrite_pack(struct rewrite *w, uint32_t i, const uint32_t *tensors, int n)
{
	for (int j = 0; j < n; j++) {
		uint32_t x = tensors[j];
		if (!x || !is_packed(w, x) || w->planner->last[x] != i || w->eighths[x])
			continue;
		struct tensor like = eighths_of(&w->tensors[x]);
		w->eighths[x] = rewrite_tensor(w, &like);
		rewrite_convert(w, &op_to_eighths, x, x, w->eighths[x], PHASE_FORWARD);
	}
}

static uint32_t rewrite_unpack(struct rewrite *w, uint32_t x)
{
	struct tensor like = w->planner->tape->tensors[x];

	w->copy[x] = rewrite_tensor(w, &like);
	rewrite_convert(w, &op_from_eighths, x, w->eighths[x], w->copy[x], PHASE_RECOMPUTE);
	return w->copy[x];
}

static uint32_t rewrite_input(struct rewrite *w, uint32_t x)
{
	const struct tape *t = w->planner->tape;

	if (x == TENSOR_NONE || (is_kept(w, x) && !is_packed(w, x)))
		return x;
	if (w->copy[x])
		return w->copy[x];
	if (is_packed(w, x))
		return rewrite_unpack(w, x);
	struct node n = *producer_of(t, x);
	for (int i = 0; i < NODE_INPUTS; i++)
		n.in[i] = rewrite_input(w, n.in[i]);
	for (int i = 0; i < NODE_OUTPUTS; i++)
		if (n.out[i]) {
			struct tensor like = t->tensors[n.out[i]];
			uint32_t copy = rewrite_tensor(w, &like);
			w->copy[n.out[i]] = copy;
			n.out[i] = copy;
		}
	n.phase = PHASE_RECOMPUTE;
	rewrite_node(w, &n);
	w->n_recomputed++;
	return w->copy[x];
}

static void rewrite_run(struct rewrite *w, const struct planner *p, const bool *dropped)
{
	const struct tape *t = p->tape;

	*w = (struct rewrite){ .planner = p, .dropped = dropped };
	w->cap_tensors = t->n_tensors * 2;
	w->cap_nodes = t->n_nodes * 2 + 1;
	w->tensors = mem_array(w->cap_tensors, sizeof(*w->tensors));
	w->nodes = mem_array(w->cap_nodes, sizeof(*w->nodes));
	w->copy = mem_array(t->n_tensors, sizeof(*w->copy));
	w->eighths = mem_array(t->n_tensors, sizeof(*w->eighths));
	memcpy(w->tensors, t->tensors, t->n_tensors * sizeof(*w->tensors));
	w->n_tensors = t->n_tensors;
	for (uint32_t i = 0; i < t->n_nodes; i++) {
		struct node n = t->nodes[i];
		if (n.phase == PHASE_BACKWARD)
			for (int j = 0; j < NODE_INPUTS; j++)
				n.in[j] = rewrite_input(w, n.in[j]);
		else
			rewrite_pack(w, i, n.in, NODE_INPUTS);
		rewrite_node(w, &n);
		rewrite_pack(w, i, n.out, NODE_OUTPUTS);
	}
}

static void rewrite_release(struct rewrite *w)
{
	mem_free(w->tensors);
	mem_free(w->nodes);
	mem_free(w->copy);
	mem_free(w->eighths);
}

/* --- pass 2: lifetimes --- */

static bool in_arena(const struct tensor *x)
{
	return x->role == ROLE_ACT || x->role == ROLE_SCRATCH;
}

static void life_see(struct life *l, const struct tensor *tensors, uint32_t x, uint32_t node)
{
	if (x == TENSOR_NONE || !in_arena(&tensors[x]))
		return;
	if (!l[x].bytes) {
		l[x] = (struct life){ .tensor = x, .first = node, .root = x };
		l[x].bytes = ROUND_UP(MAX(tensor_bytes(&tensors[x]), (size_t)1), (size_t)PLAN_ALIGN);
	}
	l[x].last = node;
}

static bool may_share(const struct life *l, const struct tensor *tensors, uint32_t out, uint32_t in, uint32_t i)
{
	if (in == TENSOR_NONE || in == out || !l[in].bytes || tensors[in].role != ROLE_ACT)
		return false;
	return l[out].first == i && l[in].last == i && l[l[in].root].last == i && l[in].bytes == l[out].bytes;
}

static void grant_inplace(struct life *l, const struct tensor *tensors, const struct node *n, uint32_t i)
{
	uint32_t out = n->out[0];
	if (out == TENSOR_NONE || !l[out].bytes || l[out].root != out)
		return;
	for (int j = 0; j < NODE_INPUTS; j++)
		if ((n->op->inplace >> j & 1) && may_share(l, tensors, out, n->in[j], i)) {
			l[out].root = l[n->in[j]].root;
			l[l[out].root].last = l[out].last;
			return;
		}
}

/* What a forward node makes and no node reads, and what is kept, is for whoever runs the tape, who looks when all is
 * over. */
static void keep_results(struct life *l, const struct rewrite *w)
{
	for (uint32_t i = 0; i < w->n_nodes; i++) {
		uint32_t x = w->nodes[i].out[0];
		if (x && w->nodes[i].phase == PHASE_FORWARD && l[x].bytes && l[x].last == i &&
		    w->tensors[x].role == ROLE_ACT)
			l[x].last = w->n_nodes - 1;
	}
	for (uint32_t x = 1; x < w->n_tensors; x++)
		if (l[x].bytes && w->tensors[x].kept)
			l[x].last = w->n_nodes - 1;
}

static struct life *lifetimes(const struct rewrite *w, bool inplace)
{
	struct life *l = mem_array(w->n_tensors, sizeof(*l));
	for (uint32_t i = 0; i < w->n_nodes; i++) {
		for (int j = 0; j < NODE_INPUTS; j++)
			life_see(l, w->tensors, w->nodes[i].in[j], i);
		for (int j = 0; j < NODE_OUTPUTS; j++)
			life_see(l, w->tensors, w->nodes[i].out[j], i);
	}
	keep_results(l, w);
	if (inplace)
		for (uint32_t i = 0; i < w->n_nodes; i++)
			grant_inplace(l, w->tensors, &w->nodes[i], i);
	return l;
}

/* --- pass 3: placement --- */

static double area(const struct life *a)
{
	return (double)a->bytes * (double)(a->last - a->first + 1);
}

static int by_area(const void *a, const void *b)
{
	const struct life *x = *(struct life *const *)a, *y = *(struct life *const *)b;
	if (area(x) != area(y))
		return area(x) > area(y) ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->tensor < y->tensor ? -1 : x->tensor > y->tensor;
}

/* The smallest gap that holds `want` among the placed ones alive at the same time; placed[] is sorted by offset. */
static size_t best_gap(struct life *const *placed, size_t n, const struct life *want)
{
	size_t end = 0, best = SIZE_MAX, best_size = SIZE_MAX;

	for (size_t i = 0; i < n; i++) {
		const struct life *p = placed[i];
		if (p->first > want->last || p->last < want->first)
			continue;
		if (p->offset > end && p->offset - end >= want->bytes && p->offset - end < best_size) {
			best = end;
			best_size = p->offset - end;
		}
		end = MAX(end, p->offset + p->bytes);
	}
	return best == SIZE_MAX ? end : best;
}

static void place_one(struct life **placed, size_t n, struct life *l)
{
	size_t i = n;
	l->offset = best_gap(placed, n, l);
	while (i > 0 && placed[i - 1]->offset > l->offset) {
		placed[i] = placed[i - 1];
		i--;
	}
	placed[i] = l;
}

static size_t lower_bound(struct life *const *roots, size_t n, uint32_t n_nodes)
{
	int64_t *delta = mem_array((size_t)n_nodes + 1, sizeof(*delta));
	int64_t live = 0, peak = 0;
	for (size_t i = 0; i < n; i++) {
		delta[roots[i]->first] += (int64_t)roots[i]->bytes;
		delta[roots[i]->last + 1] -= (int64_t)roots[i]->bytes;
	}
	for (uint32_t i = 0; i < n_nodes; i++) {
		live += delta[i];
		peak = MAX(peak, live);
	}
	mem_free(delta);
	return (size_t)peak;
}

/* Sets every life's offset; returns the arena's bytes and the bound. */
static size_t place_all(struct life *l, uint32_t n_tensors, uint32_t n_nodes, size_t *bound)
{
	struct life **roots = mem_array((size_t)n_tensors + 1, sizeof(*roots)),
		    **placed = mem_array((size_t)n_tensors + 1, sizeof(*placed));
	size_t n = 0, total = 0;

	for (uint32_t i = 1; i < n_tensors; i++)
		if (l[i].bytes && l[i].root == i)
			roots[n++] = &l[i];
	qsort(roots, n, sizeof(*roots), by_area);
	for (size_t i = 0; i < n; i++) {
		place_one(placed, i, roots[i]);
		total = MAX(total, roots[i]->offset + roots[i]->bytes);
	}
	*bound = lower_bound(roots, n, n_nodes);
	for (uint32_t i = 1; i < n_tensors; i++)
		if (l[i].bytes)
			l[i].offset = l[l[i].root].offset;
	mem_free(roots);
	mem_free(placed);
	return total;
}

/* --- one probe, and the search --- */

static size_t scratch_need(const struct rewrite *w, const struct planner *p)
{
	struct tape view = { .tensors = w->tensors, .n_tensors = w->n_tensors, .cap = p->tape->cap };
	size_t need = 0;
	for (uint32_t i = 0; i < w->n_nodes; i++)
		if (w->nodes[i].op->scratch)
			need = MAX(need, w->nodes[i].op->scratch(&view, &w->nodes[i], p->kernels));
	return ROUND_UP(need, (size_t)4096);
}

static void probe(struct plan *out, const struct planner *p, size_t n_dropped)
{
	bool *dropped = mem_array(p->tape->n_tensors, sizeof(*dropped));
	struct rewrite w;

	for (uint32_t x = 1; x < p->tape->n_tensors; x++)
		dropped[x] = p->cheap[x] && !p->options->keep_all;
	for (size_t i = 0; i < n_dropped; i++)
		dropped[p->candidates[i].tensor] = true;
	*out = (struct plan){ .cap = p->tape->cap };
	rewrite_run(&w, p, dropped);
	if (!p->options->no_fusion)
		w.n_nodes = fuse_nodes(w.nodes, w.n_nodes, w.tensors, &out->mem);
	struct life *l = lifetimes(&w, !p->options->no_inplace);

	out->n_tensors = w.n_tensors;
	out->n_nodes = w.n_nodes;
	out->n_recomputed = w.n_recomputed;
	out->arena_bytes = place_all(l, w.n_tensors, w.n_nodes, &out->bound_bytes);
	out->scratch_bytes = scratch_need(&w, p);
	out->tensors = arena_array(&out->mem, w.n_tensors, sizeof(*out->tensors));
	out->nodes = arena_array(&out->mem, w.n_nodes + 1, sizeof(*out->nodes));
	out->offset = arena_array(&out->mem, w.n_tensors, sizeof(*out->offset));
	out->original = arena_array(&out->mem, w.n_tensors, sizeof(*out->original));
	memcpy(out->tensors, w.tensors, w.n_tensors * sizeof(*out->tensors));
	memcpy(out->nodes, w.nodes, w.n_nodes * sizeof(*out->nodes));
	for (uint32_t i = 0; i < w.n_tensors; i++)
		out->offset[i] = l[i].bytes ? l[i].offset : SIZE_MAX;
	for (uint32_t i = 0; i < w.n_tensors; i++)
		out->original[i] = i;
	for (uint32_t i = 0; i < p->tape->n_tensors; i++)
		if (w.copy[i])
			out->original[w.copy[i]] = i;
	mem_free(l);
	mem_free(dropped);
	rewrite_release(&w);
}

static int search(struct plan *out, const struct planner *p, struct err *e)
{
	size_t lo = 0, hi = p->n_candidates;
	char least[32], limit[32];

	probe(out, p, p->options->recompute_all ? hi : 0);
	if (!p->options->limit_bytes || out->arena_bytes <= p->options->limit_bytes)
		return 0;
	plan_release(out);
	probe(out, p, hi);
	if (out->arena_bytes > p->options->limit_bytes) {
		human_bytes(out->arena_bytes, least);
		plan_release(out);
		return err_set(e,
		               "the activations need at least %s, %s are allowed; fewer --micro-batch-tokens need less",
		               least, human_bytes(p->options->limit_bytes, limit));
	}
	while (lo + 1 < hi) { /* hi fits, lo does not */
		size_t mid = lo + (hi - lo) / 2;
		struct plan trial;
		probe(&trial, p, mid);
		bool fits = trial.arena_bytes <= p->options->limit_bytes;
		if (fits) {
			plan_release(out);
			*out = trial;
			hi = mid;
		} else {
			plan_release(&trial);
			lo = mid;
		}
	}
	return 0;
}

int plan_make(struct plan *out, const struct tape *t, const struct kernels *k, const struct plan_options *o,
              struct err *e)
{
	static const struct plan_options none;
	struct planner p = { .tape = t, .kernels = k, .options = o ? o : &none };

	*out = (struct plan){ 0 };
	if (t->err.msg[0])
		return err_set(e, "%s", t->err.msg);
	p.saved = mem_array(t->n_tensors, sizeof(bool));
	p.crosses = mem_array(t->n_tensors, sizeof(bool));
	p.cheap = mem_array(t->n_tensors, sizeof(bool));
	p.packed = mem_array(t->n_tensors, sizeof(bool));
	p.last = mem_array(t->n_tensors, sizeof(*p.last));
	find_readers(&p);
	find_candidates(&p);
	if (p.options->in_8bit)
		find_packed(&p);
	int status = search(out, &p, e);
	mem_free(p.saved);
	mem_free(p.crosses);
	mem_free(p.cheap);
	mem_free(p.packed);
	mem_free(p.last);
	mem_free(p.candidates);
	return status;
}

void plan_release(struct plan *p)
{
	arena_release(&p->mem);
	*p = (struct plan){ 0 };
}

bool node_int8(const struct node *n)
{
	return n->op->int8 && n->op->int8(n);
}

double plan_int_ops(const struct plan *p, const struct live *live)
{
	struct tape view = { .tensors = p->tensors, .n_tensors = p->n_tensors, .cap = p->cap };
	double sum = 0;

	for (uint32_t i = 0; i < p->n_nodes; i++) {
		double flops = 0, bytes = 0;
		if (node_int8(&p->nodes[i])) {
			p->nodes[i].op->cost(&view, &p->nodes[i], live, &flops, &bytes);
			sum += flops - (p->nodes[i].op->in_f32 ? p->nodes[i].op->in_f32(&view, &p->nodes[i], live) : 0);
		}
	}
	return sum;
}

void plan_cost(const struct plan *p, const struct live *live, double *flops, double *bytes)
{
	/* Ops look tensors up by number; the plan's own array has the copies too. */
	struct tape view = { .tensors = p->tensors, .n_tensors = p->n_tensors, .cap = p->cap };

	*flops = *bytes = 0;
	for (uint32_t i = 0; i < p->n_nodes; i++) {
		double f = 0, b = 0;
		p->nodes[i].op->cost(&view, &p->nodes[i], live, &f, &b);
		*flops += f;
		*bytes += b;
	}
}
