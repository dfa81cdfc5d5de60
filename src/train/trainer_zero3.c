/* trainer_zero3: --zero-stage 3 (ZeRO-3, Rajbhandari et al. 2020): of the weights a rank keeps those that it updates.
 * The others are there while nodes read them, and gradients while nodes write them.
 *
 * All ranks walk the same plan, one micro-batch each (a round, as in stage 2), so what comes and goes when is a list
 * made once of the plan's nodes, and no message asks for anything:
 *
 *     before a stretch  weights that its nodes read come from the ranks that have them, and those of the next are on
 *                       their way while it computes; they go behind the last node that reads them, unless the next
 *                       stretch does
 *     behind it         gradients that nobody adds to any more go to who updates them, who puts them into a tree of
 *                       that parameter's own
 *
 * A stretch is the nodes of one layer that follow each other: a block forward, a block backward, the head.
 * A rank without a micro-batch in the last round walks the nodes without computing them, and gives. Trees have the
 * shape of the whole one, so bits are those of one rank.
 *
 * Weights and gradients keep their addresses in the flat buffers: what goes gives its pages back (mem_give_back), and
 * memory is what is resident. Numbers at the ends of a weight that has gone, which share a page with a neighbour, are
 * NaN: a node that reads what is not there is heard of.
 *
 * A micro-batch's weights come twice, forward and backward, and its gradient goes once: 3 · n · (R − 1)/R numbers a
 * round and rank, half as many again as stage 1 with one subtree a rank. Rank 0 takes all weights where it evaluates,
 * samples or measures what was forgotten, for so long; for the result and averages one after the other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "train/trainer_parts.h"

enum { PAGE = 4096, EDGE = PAGE / sizeof(float) };

static const uint32_t none = UINT32_MAX;

/* --- what may not be --- */

const char *zero3_refuse(const struct trainer *t)
{
	if (t->has_adapter)
		return "an adapter, whose numbers are few (--method full is what it is for)";
	if (t->objective.row->reference || t->objective.row->params)
		return "an objective with a reference or parameters of its own";
	if (t->maxima.documents || (t->objective.row->looks && t->objective.row->looks(t->objective.options)))
		return "an objective that makes or looks at documents with the weights of the moment";
	if (t->recipe.l2_sp > 0 || t->recipe.ewc > 0)
		return "--l2-sp or --ewc";
	if (t->recipe.qat || t->recipe.ratio_steps > 0)
		return t->recipe.qat ? "--qat" : "--update-ratio-steps";
	return t->device->type->host_memory ? NULL : "a device with memory of its own";
}

/* --- who has what --- */

static size_t bytes_of(const struct trainer *t, uint32_t item) { return t->params->items[item].n * sizeof(float); }
static float *weight_at(const struct trainer *t, uint32_t item) { return t->params->w + t->params->items[item].offset; }

static float *gradient_at(struct trainer *t, uint32_t item)
{
	return grad_tree_leaf(&t->gradients) + t->params->items[item].offset;
}

static int owner_of(const struct trainer *t, uint32_t item)
{
	int k = 0;

	while (item >= t->sharing.first[k + 1])
		k++;
	return k;
}

static bool is_mine(const struct trainer *t, uint32_t item) { return owner_of(t, item) == t->sharing.ranks->rank; }

static struct grad_tree *tree_of(struct trainer *t, uint32_t item)
{
	return &t->zero3.trees[item - t->sharing.first[t->sharing.ranks->rank]];
}

/* What one resident weight takes at most. */
static size_t pages_of(const struct trainer *t, uint32_t item) { return ROUND_UP(bytes_of(t, item), (size_t)PAGE); }

static void drop(const struct trainer *t, uint32_t item)
{
	float *w = weight_at(t, item);
	size_t n = t->params->items[item].n;

	for (size_t i = 0; i < MIN(n, (size_t)EDGE); i++)
		w[i] = w[n - 1 - i] = NAN;
	mem_give_back(w, n * sizeof(float));
}

/* --- the list --- */

struct nodes {
	const struct plan *plan;
	uint32_t *item;                /* [n_tensors] the parameter that a tensor is, or is the gradient of */
	uint32_t *stretch, *begin, *end; /* [n_nodes] of a node: its stretch; the first and the last node of that */
	uint32_t *last, *wrote_first, *wrote_last; /* [n_items] nodes */
	struct zero3 *s;
};

static void find_items(const struct trainer *t, struct nodes *a)
{
	const struct graph *g = &t->net.graph;

	if (g->n_laid != 1 || t->params != &t->full.params)
		BUG("weights to be sharded under something else");
	a->item = mem_array(a->plan->n_tensors, sizeof(*a->item));
	memset(a->item, 0xFF, a->plan->n_tensors * sizeof(*a->item));
	for (uint32_t i = 0; i < t->params->n_items; i++) {
		uint32_t x = g->laid[0].param_tensor[i], dx = tape_grad(g->tape, x);
		if (x)
			a->item[x] = i;
		if (dx)
			a->item[dx] = i;
	}
}

static void find_stretches(struct nodes *a)
{
	const struct node *nodes = a->plan->nodes;
	uint32_t n = a->plan->n_nodes;

	a->stretch = mem_array(3 * (size_t)n, sizeof(*a->stretch));
	a->begin = a->stretch + n;
	a->end = a->begin + n;
	for (uint32_t i = 1; i < n; i++) {
		bool same = nodes[i].layer == nodes[i - 1].layer;
		a->stretch[i] = a->stretch[i - 1] + !same;
		a->begin[i] = same ? a->begin[i - 1] : i;
	}
	for (uint32_t i = n; i-- > 0;)
		a->end[i] = i + 1 < n && a->stretch[i + 1] == a->stretch[i] ? a->end[i + 1] : i;
}

static void note(struct zero3_event **list, size_t *n, struct zero3_event e)
{
	if ((*n & (*n + 1)) == 0) /* room for twice as many */
		*list = mem_grow(*list, 2 * *n + 2, sizeof(**list));
	(*list)[(*n)++] = e;
}

static void note_read(struct nodes *a, uint32_t node, uint32_t item)
{
	struct zero3 *s = a->s;
	uint32_t last = a->last[item];

	bool goes = last != none && a->stretch[node] > a->stretch[last] + 1;

	if (goes)
		note(&s->drop, &s->n_drop, (struct zero3_event){ last, item, 0 });
	if (last == none || goes)
		note(&s->fetch, &s->n_fetch, (struct zero3_event){ a->begin[node], item, goes ? last + 1 : 0 });
	a->last[item] = node;
}

static void note_tensor(struct nodes *a, uint32_t node, uint32_t x)
{
	const struct tensor *tensor = &a->plan->tensors[x];
	uint32_t item = x ? a->item[x] : none;

	for (size_t i = 0; x && tensor->parts && i < tensor->dim[0]; i++)
		note_tensor(a, node, tensor->parts[i]);
	if (item == none)
		return;
	if (tensor->role == ROLE_PARAM) {
		note_read(a, node, item);
		return;
	}
	if (a->wrote_first[item] == none)
		a->wrote_first[item] = node;
	a->wrote_last[item] = node;
}

static int by_node(const void *a, const void *b)
{
	const struct zero3_event *x = a, *y = b;

	int order = (x->node > y->node) - (x->node < y->node);

	return order ? order : (x->item > y->item) - (x->item < y->item);
}

static void forget_list(struct zero3 *s)
{
	mem_free(s->fetch);
	mem_free(s->drop);
	mem_free(s->done);
	s->fetch = s->drop = s->done = NULL;
	s->n_fetch = s->n_drop = s->n_done = 0;
}

static void make_list(struct nodes *a, size_t n_items)
{
	struct zero3 *s = a->s;

	for (uint32_t i = 0; i < a->plan->n_nodes; i++) {
		for (int j = 0; j < NODE_INPUTS; j++)
			note_tensor(a, i, a->plan->nodes[i].in[j]);
		for (int j = 0; j < NODE_OUTPUTS; j++)
			note_tensor(a, i, a->plan->nodes[i].out[j]);
	}
	for (uint32_t item = 0; item < n_items; item++) {
		if (a->last[item] != none)
			note(&s->drop, &s->n_drop, (struct zero3_event){ a->last[item], item, 0 });
		if (a->wrote_last[item] != none)
			note(&s->done, &s->n_done, (struct zero3_event){ a->end[a->wrote_last[item]], item, 0 });
	}
	qsort(s->fetch, s->n_fetch, sizeof(*s->fetch), by_node);
	qsort(s->drop, s->n_drop, sizeof(*s->drop), by_node);
	qsort(s->done, s->n_done, sizeof(*s->done), by_node);
}

/* --- groups of a list: events of one node --- */

static size_t group_end(const struct zero3_event *list, size_t n, size_t at)
{
	size_t end = at;

	while (end < n && list[end].node == list[at].node)
		end++;
	return end;
}

static bool is_due(const struct zero3_event *list, size_t n, size_t at, uint32_t node)
{
	return at < n && list[at].node == node;
}

/* Whether the next group may be on its way: nobody reads what it replaces. */
static bool may_begin(const struct zero3 *s, size_t at, uint32_t node)
{
	size_t end = group_end(s->fetch, s->n_fetch, at);
	bool free = at < s->n_fetch;

	for (; at < end; at++)
		free &= s->fetch[at].from <= node;
	return free;
}

static size_t largest_group(const struct zero3_event *list, size_t n)
{
	size_t most = 0;

	for (size_t at = 0, end; at < n; at = end) {
		end = group_end(list, n, at);
		most = MAX(most, end - at);
	}
	return most;
}

/* --- what is resident --- */

static size_t others(const struct trainer *t, const struct zero3_event *list, size_t at, size_t end)
{
	size_t bytes = 0;

	for (; at < end; at++)
		bytes += is_mine(t, list[at].item) ? 0 : pages_of(t, list[at].item);
	return bytes;
}

/* The walk without anything that moves. */
static size_t most_weights(const struct trainer *t, const struct plan *p)
{
	const struct zero3 *s = &t->zero3;
	size_t now = 0, most = 0, begun = 0, end, drops = 0;

	for (uint32_t i = 0; i < p->n_nodes; i++) {
		bool waits = begun == 0 || s->fetch[begun - 1].node <= i; /* all that was begun is there */
		for (int turn = 0; turn < 2 && begun < s->n_fetch; turn++) {
			if (!(turn == 0 ? s->fetch[begun].node == i : waits && may_begin(s, begun, i)))
				continue;
			end = group_end(s->fetch, s->n_fetch, begun);
			now += others(t, s->fetch, begun, end);
			begun = end;
			waits = s->fetch[begun - 1].node <= i;
		}
		most = MAX(most, now);
		end = is_due(s->drop, s->n_drop, drops, i) ? group_end(s->drop, s->n_drop, drops) : drops;
		now -= others(t, s->drop, drops, end);
		drops = end;
	}
	return most;
}

/* A group goes while the next one is computed. */
static size_t most_gradients(const struct trainer *t, const struct nodes *a)
{
	const struct zero3 *s = &t->zero3;
	size_t now = 0, most = 0, going = 0, done = 0;

	for (uint32_t i = 0; i < a->plan->n_nodes; i++) {
		for (uint32_t item = 0; item < t->params->n_items; item++)
			now += a->wrote_first[item] == i ? pages_of(t, item) : 0;
		most = MAX(most, now);
		if (!is_due(s->done, s->n_done, done, i))
			continue;
		size_t end = group_end(s->done, s->n_done, done);
		now -= going;
		for (going = 0; done < end; done++)
			going += pages_of(t, s->done[done].item);
	}
	return most;
}

/* Rank 0 takes all where it looks at the model as a whole. */
static bool takes_all(const struct trainer *t)
{
	return t->sharing.ranks->rank == 0 && (t->has_eval || t->recipe.sample_steps > 0 || t->forgetting.n ||
	                                       t->recipe.load_best_model_at_end);
}

void zero3_plan(struct trainer *t, const struct plan *p)
{
	size_t n = t->params->n_items, most = 0;
	struct nodes a = { .plan = p, .s = &t->zero3 };

	if (!t->zero3.on)
		return;
	forget_list(&t->zero3);
	find_items(t, &a);
	find_stretches(&a);
	a.last = mem_array(3 * n, sizeof(*a.last));
	a.wrote_first = a.last + n;
	a.wrote_last = a.last + 2 * n;
	memset(a.last, 0xFF, 3 * n * sizeof(*a.last));
	make_list(&a, n);
	for (uint32_t i = 0; i < n; i++)
		most = MAX(most, pages_of(t, i));
	size_t own = t->sharing.own * sizeof(float), flat = t->params->n * sizeof(float);
	t->zero3.own_bytes = own;
	t->zero3.others_bytes = MAX(MAX(most_weights(t, p) + most_gradients(t, &a), own), most);
	if (takes_all(t))
		t->zero3.others_bytes = MAX(t->zero3.others_bytes, flat - own);
	mem_free(a.item);
	mem_free(a.stretch);
	mem_free(a.last);
}

static size_t tree_bytes(const struct trainer *t, uint32_t item)
{
	size_t bytes = (size_t)grad_tree_buffers((long)t->dry.most_micro) * bytes_of(t, item);

	return ROUND_UP(bytes, mem_map_granule(bytes));
}

size_t zero3_tree_bytes(const struct trainer *t)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < t->params->n_items; i++)
		bytes += is_mine(t, i) ? tree_bytes(t, i) : 0;
	return bytes;
}

/* --- before the steps --- */

static int before(void *ctx, uint32_t node);
static int behind(void *ctx, uint32_t node);

int zero3_start(struct trainer *t, struct err *e)
{
	struct zero3 *s = &t->zero3;
	struct sharing *all = &t->sharing;
	size_t me = (size_t)all->ranks->rank, first = all->first[me];

	zero3_plan(t, &t->net.pass.plan);
	s->trees = mem_array(MAX(all->first[me + 1] - first, (size_t)1), sizeof(*s->trees));
	for (size_t i = first; i < all->first[me + 1]; i++)
		if (grad_tree_init(&s->trees[i - first], t->params->items[i].n, (long)t->dry.most_micro, t->kernels,
		                   t->pool, e) < 0)
			return -1;
	mem_small_pages(grad_tree_leaf(&t->gradients), t->params->n * sizeof(float));
	for (int k = 0; k < 2; k++)
		s->fly[k] = mem_array(largest_group(s->fetch, s->n_fetch) * (size_t)all->ranks->size + 1,
		                      sizeof(*s->fly[k]));
	s->out = mem_array(largest_group(s->done, s->n_done) + 1, sizeof(*s->out));
	s->in = mem_array(largest_group(s->done, s->n_done) + 1, sizeof(*s->in));
	s->watch = (struct run_watch){ before, behind, t };
	t->net.pass.run.watch = &s->watch;
	return 0;
}

void zero3_begin(struct trainer *t)
{
	if (t->zero3.on)
		mem_small_pages(t->params->w, t->params->n * sizeof(float));
}

void zero3_begun(struct trainer *t, size_t item)
{
	if (t->zero3.on && !is_mine(t, (uint32_t)item))
		drop(t, (uint32_t)item);
}

void zero3_release(struct trainer *t)
{
	struct zero3 *s = &t->zero3;
	size_t me = s->trees ? (size_t)t->sharing.ranks->rank : 0;

	for (size_t i = 0; s->trees && i < t->sharing.first[me + 1] - t->sharing.first[me]; i++)
		grad_tree_release(&s->trees[i]);
	mem_free(s->trees);
	forget_list(s);
	mem_free(s->fly[0]);
	mem_free(s->fly[1]);
	mem_free(s->out);
	mem_free(s->in);
	*s = (struct zero3){ 0 };
}

/* --- a round --- */

/* Which ranks have a micro-batch in it. */
static void begin_round(struct trainer *t)
{
	struct zero3 *s = &t->zero3;
	size_t ranks = (size_t)t->sharing.ranks->size, first = t->sharing.next * ranks;

	s->active = MIN(ranks, t->now.micros - first);
	s->idle = (size_t)t->sharing.ranks->rank >= s->active;
	s->begun = s->come = s->dropped = s->gone = 0;
}

static int land(struct trainer *t, int slot, struct err *e)
{
	struct zero3 *s = &t->zero3;

	for (size_t i = 0; i < s->n_fly[slot]; i++)
		if (ranks_wait(t->sharing.ranks, &s->fly[slot][i], e) < 0)
			return -1;
	s->n_fly[slot] = 0;
	return 0;
}

/* One weight to those who compute, or from who has it. */
static void move(struct trainer *t, uint32_t item, int slot)
{
	struct zero3 *s = &t->zero3;
	struct ranks *r = t->sharing.ranks;
	int owner = owner_of(t, item);

	if (owner != r->rank) {
		if (!s->idle)
			ranks_begin(r, &s->fly[slot][s->n_fly[slot]++], true, owner, RANKS_TAG_WEIGHTS,
			            weight_at(t, item), bytes_of(t, item));
		return;
	}
	for (size_t k = 0; k < s->active; k++)
		if ((int)k != r->rank)
			ranks_begin(r, &s->fly[slot][s->n_fly[slot]++], false, (int)k, RANKS_TAG_WEIGHTS,
			            weight_at(t, item), bytes_of(t, item));
}

/* The slot's group before the last has to have left it. */
static int begin_group(struct trainer *t, struct err *e)
{
	struct zero3 *s = &t->zero3;
	size_t end = group_end(s->fetch, s->n_fetch, s->begun);

	s->slot = !s->slot;
	if (land(t, s->slot, e) < 0)
		return -1;
	for (; s->begun < end; s->begun++)
		move(t, s->fetch[s->begun].item, s->slot);
	return 0;
}

static int arrive(struct trainer *t, struct err *e)
{
	struct zero3 *s = &t->zero3;

	for (size_t i = 0; i < s->n_fly[s->slot]; i++)
		if (s->fly[s->slot][i].receives && ranks_wait(t->sharing.ranks, &s->fly[s->slot][i], e) < 0)
			return -1;
	s->come = s->begun;
	return 0;
}

static int before(void *ctx, uint32_t node)
{
	struct trainer *t = ctx;
	struct zero3 *s = &t->zero3;
	struct err *e = &s->err;

	if (!node)
		begin_round(t);
	if (is_due(s->fetch, s->n_fetch, s->come, node) &&
	    ((s->begun == s->come && begin_group(t, e) < 0) || arrive(t, e) < 0))
		return -1;
	return s->begun == s->come && may_begin(s, s->begun, node) ? begin_group(t, e) : 0;
}

/* Those of the group before. */
static int wait_out(struct trainer *t, struct err *e)
{
	struct zero3 *s = &t->zero3;

	for (size_t i = 0; i < s->n_out; i++) {
		if (ranks_wait(t->sharing.ranks, &s->out[i], e) < 0)
			return -1;
		mem_give_back(s->out[i].data, s->out[i].bytes);
	}
	s->n_out = 0;
	return 0;
}

/* Rank k's, of the group's parameters that this one updates. */
static int take_gradients(struct trainer *t, size_t end, int k, struct err *e)
{
	struct zero3 *s = &t->zero3;
	struct ranks *r = t->sharing.ranks;

	for (size_t i = s->gone; i < end; i++) {
		uint32_t item = s->done[i].item;
		float *to = is_mine(t, item) ? grad_tree_leaf(tree_of(t, item)) : NULL;
		if (to && k != r->rank)
			ranks_begin(r, &s->in[i - s->gone], true, k, RANKS_TAG_GRADIENT, to, bytes_of(t, item));
		if (!to || k != r->rank)
			continue;
		memcpy(to, gradient_at(t, item), bytes_of(t, item));
		mem_give_back(gradient_at(t, item), bytes_of(t, item));
	}
	for (size_t i = s->gone; i < end; i++) {
		uint32_t item = s->done[i].item;
		if (!is_mine(t, item))
			continue;
		if (k != r->rank && ranks_wait(r, &s->in[i - s->gone], e) < 0)
			return -1;
		grad_tree_add(tree_of(t, item));
	}
	return 0;
}

static int send_group(struct trainer *t, struct err *e)
{
	struct zero3 *s = &t->zero3;
	size_t end = group_end(s->done, s->n_done, s->gone);

	if (wait_out(t, e) < 0)
		return -1;
	for (size_t i = s->gone; i < end; i++) {
		uint32_t item = s->done[i].item;
		if (!is_mine(t, item) && !s->idle)
			ranks_begin(t->sharing.ranks, &s->out[s->n_out++], false, owner_of(t, item), RANKS_TAG_GRADIENT,
			            gradient_at(t, item), bytes_of(t, item));
	}
	for (size_t k = 0; k < s->active; k++) /* in their order */
		if (take_gradients(t, end, (int)k, e) < 0)
			return -1;
	s->gone = end;
	return 0;
}

static int behind(void *ctx, uint32_t node)
{
	struct trainer *t = ctx;
	struct zero3 *s = &t->zero3;

	for (; is_due(s->drop, s->n_drop, s->dropped, node); s->dropped++)
		if (!is_mine(t, s->drop[s->dropped].item) && !s->idle)
			drop(t, s->drop[s->dropped].item);
	if (is_due(s->done, s->n_done, s->gone, node) && send_group(t, &s->err) < 0)
		return -1;
	if (node + 1 < t->net.pass.plan.n_nodes)
		return 0;
	return wait_out(t, &s->err) < 0 || land(t, 0, &s->err) < 0 ? -1 : land(t, 1, &s->err);
}

int zero3_round(struct trainer *t, bool own, struct err *e)
{
	int status = 0;

	if (own) /* its numbers have gone already */
		grad_tree_sum(&t->gradients);
	for (uint32_t i = 0; !own && i < t->net.pass.plan.n_nodes && !status; i++)
		status = before(t, i) < 0 ? -1 : behind(t, i);
	t->sharing.next++;
	if (status)
		*e = t->zero3.err;
	return status;
}

/* What this rank updates, where a step expects it. */
float *zero3_sum(struct trainer *t)
{
	const size_t *first = t->sharing.first + t->sharing.ranks->rank;

	for (uint32_t i = (uint32_t)first[0]; i < first[1]; i++)
		if (tree_of(t, i)->leaves) /* else no node writes one */
			memcpy(gradient_at(t, i), grad_tree_sum(tree_of(t, i)), bytes_of(t, i));
	return grad_tree_leaf(&t->gradients);
}

void zero3_updated(struct trainer *t)
{
	mem_give_back(grad_tree_leaf(&t->gradients), t->params->n * sizeof(float));
}

void zero3_forget(struct trainer *t)
{
	const size_t *first = t->sharing.first + t->sharing.ranks->rank;

	for (uint32_t i = (uint32_t)first[0]; i < first[1]; i++)
		grad_tree_forget(tree_of(t, i));
}

/* --- rank 0 looks at weights that others have --- */

static void to_rank_0(struct trainer *t, uint32_t item, struct rank_transfer *x)
{
	ranks_begin(t->sharing.ranks, x, false, 0, RANKS_TAG_WEIGHTS, weight_at(t, item), bytes_of(t, item));
}

/* number: of a weight, or of none: all that this rank has. */
void zero3_lend(struct trainer *t, int64_t number, struct err *e)
{
	struct sharing *s = &t->sharing;
	int me = s->ranks->rank;
	struct rank_transfer *x = &s->ranks->spare[0];

	if (number >= 0 && !is_mine(t, (uint32_t)number))
		return;
	if (number >= 0)
		to_rank_0(t, (uint32_t)number, x);
	else
		ranks_begin(s->ranks, x, false, 0, RANKS_TAG_WEIGHTS, (char *)t->params->w + s->number[me],
		            s->number[me + 1] - s->number[me]);
	ranks_wait(s->ranks, x, e);
}

const float *zero3_weight(struct trainer *t, uint32_t item, float *scratch, struct err *e)
{
	struct rank_transfer x;

	if (!t->zero3.on || t->zero3.whole || is_mine(t, item))
		return weight_at(t, item);
	if (ranks_order(t->sharing.ranks, RANKS_LEND, item, NULL, e) < 0)
		return NULL;
	ranks_begin(t->sharing.ranks, &x, true, owner_of(t, item), RANKS_TAG_WEIGHTS, scratch, bytes_of(t, item));
	return ranks_wait(t->sharing.ranks, &x, e) < 0 ? NULL : scratch;
}

int zero3_gather(struct trainer *t, struct err *e)
{
	struct sharing *s = &t->sharing;
	struct ranks *r = s->ranks;

	if (!t->zero3.on || r->rank || t->zero3.whole)
		return 0;
	if (ranks_order(r, RANKS_LEND, -1, NULL, e) < 0)
		return -1;
	for (int k = 1; k < r->size; k++)
		ranks_begin(r, &r->spare[k], true, k, RANKS_TAG_WEIGHTS, (char *)t->params->w + s->number[k],
		            s->number[k + 1] - s->number[k]);
	for (int k = 1; k < r->size; k++)
		if (ranks_wait(r, &r->spare[k], e) < 0)
			return -1;
	t->zero3.gathered = t->zero3.whole = true;
	return 0;
}

void zero3_scatter(struct trainer *t)
{
	if (!t->zero3.gathered)
		return;
	for (uint32_t i = 0; i < t->params->n_items; i++)
		if (!is_mine(t, i))
			drop(t, i);
	t->zero3.gathered = t->zero3.whole = false;
}
