/* trainer_ranks: one run on several ranks, whose bits are those of one alone.
 *
 * A step's micro-batches are the leaves of a binary tree whose shape depends on their number alone (train/grad_tree.h).
 * A rank has some that follow each other; the largest whole subtrees of those it sums by itself, and what is above them
 * is added up by the same additions in the same order, each part of the gradient by the rank that updates it:
 *
 *     leaves      0 1 2 3 4 5 | 6 7 8 9 10        11 leaves on two ranks
 *     subtrees    (0 1 2 3) (4 5) | (6 7) (8 9) (10)
 *     above       ((0…3) + ((4 5) + (6 7))) + ((8 9) + (10))
 *
 * A border lies where it cuts few subtrees, as long as no rank has more than its share. A subtree goes out as soon as
 * it is done, while the next micro-batch is computed. The sums are reduce-scattered: rank k gets, of every subtree,
 * the numbers of the parameters that it updates (whole ones, as many numbers as the others have), adds them up, and
 * has the optimizer's state of these alone (ZeRO-1, Rajbhandari et al. 2020). Norms are sums over pieces in the order
 * of the table, wherever they were computed; at last everybody gets everybody's new weights. With n numbers and R
 * ranks a rank sends S·n·(R−1)/R numbers of gradients, S being its subtrees (one where R and the leaves are powers
 * of two), and n·(R−1)/R of weights.
 *
 * --zero-stage 2 keeps gradients as the optimizer's state (ZeRO-2): leaf i is computed by rank i mod R, and as soon as
 * it is there each rank has the numbers that it updates, and puts them into a tree of its own that is as the whole one:
 *
 *     leaves      0 3 6 9 | 1 4 7 10 | 2 5 8      on three ranks, in rounds of three
 *
 * So a rank has one gradient, that of the leaf at hand, and 1 + log₂ of the step's leaves parts of 1/R; it sends
 * (R−1)/R·n numbers a leaf of its own, and waits for each round's. --zero-stage 3 has the same rounds; weights and
 * gradients come and go with the nodes (trainer_zero3.c).
 *
 * What is small is everyone's: each leaf's losses and counts go to all, who add them up in the order of leaves. So the
 * loss, whether it is finite and what follows from it need no further message. Answers that are drawn are dealt out
 * (rollout.h); what else an objective looks at with the weights of the moment every rank makes for itself, the same;
 * what it wants to see of each micro-batch goes to all too (objective.passed). A method that wants the whole gradient
 * behind an update (AdaLoRA) gets it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "train/trainer_parts.h"

/* A rank may have so much more than its share where that cuts fewer subtrees: a part in SLACK. */
enum { SLACK = 32, LOOKED_AT = 4096 };

/* --- who has what --- */

/* Of the borders that leave no rank with more than `most`: the one that most subtrees end at. */
static size_t border(size_t before, size_t most, size_t n, size_t ranks_left)
{
	size_t low = MAX(before, n - MIN(n, ranks_left * most)), high = MIN(before + most, n);

	for (size_t step = (size_t)1 << 40; step > 1; step >>= 1)
		if (high / step * step >= MAX(low, (size_t)1))
			return high / step * step;
	return high;
}

/* The largest subtree that begins at leaf `at` and ends before `end`. */
static int level_at(size_t at, size_t end)
{
	int level = 0;

	while (at % ((size_t)2 << level) == 0 && at + ((size_t)2 << level) <= end)
		level++;
	return level;
}

/* Parts of a step of n leaves; parts and own may be NULL. own: the leaves of this rank. */
static size_t deal(const struct sharing *s, size_t n, struct part *parts, size_t own[2], int *level)
{
	size_t ranks = (size_t)s->ranks->size, share = (n + ranks - 1) / ranks, count = 0, begin = 0;

	for (size_t r = 0; r < ranks; r++) {
		size_t end = r + 1 == ranks ? n : border(begin, share + share / SLACK, n, ranks - r - 1);
		if (own && (int)r == s->ranks->rank) {
			own[0] = begin;
			own[1] = end;
		}
		while (begin < end) {
			int l = level_at(begin, end);
			*level = MAX(*level, l);
			if (parts)
				parts[count] = (struct part){ begin, l, (int)r };
			count++;
			begin += (size_t)1 << l;
		}
	}
	return count;
}

static const char *unshared(const struct trainer *t)
{
	if (kl_wanted(t)) /* its micro-batches begin when the losses of all others are known */
		return "--kl-to-base";
	return t->memory ? "several recipes beside each other" : NULL;
}

int share_check(const struct trainer *t, struct err *e)
{
	const char *what = ranks_several(t->recipe.ranks) ? unshared(t) : NULL;

	const char *whole = ranks_several(t->recipe.ranks) && t->recipe.zero_stage == 3 ? zero3_refuse(t) : NULL;

	if (!what && !whole)
		return 0;
	if (!what)
		return err_set(e, "--zero-stage 3 (weights sharded too) is not for %s; 2 shards gradients and the "
		                  "optimizer's state", whole);
	return err_set(e, "%s is not for several ranks, only without mpirun (--objective %s, --method %s)", what,
	               t->objective.row->name, t->recipe.method);
}

/* --- before the steps --- */

void share_plan(struct trainer *t)
{
	struct sharing *s = &t->sharing;
	size_t most = (size_t)t->dry.most_micro, ranks;

	if (!ranks_several(t->recipe.ranks))
		return;
	s->ranks = t->recipe.ranks;
	ranks = (size_t)s->ranks->size;
	s->first = mem_array(ranks + 1, sizeof(*s->first));
	s->number = mem_array(ranks + 1, sizeof(*s->number));
	s->piece = mem_array(ranks + 1, sizeof(*s->piece));
	s->leaf_at = mem_array(ranks + 1, sizeof(*s->leaf_at));
	optim_deal(t->params, ranks, s->first);
	for (size_t k = 0; k <= ranks; k++) {
		size_t i = s->first[k];
		s->number[k] = sizeof(float) * (i < t->params->n_items ? t->params->items[i].offset : t->params->n);
		s->piece[k] = sizeof(double) * optim_piece(t->params, i);
	}
	size_t me = (size_t)s->ranks->rank;
	s->own = (s->number[me + 1] - s->number[me]) / sizeof(float);
	optim_own(&t->optim, s->first[me], s->first[me + 1]);
	s->rounds = t->recipe.zero_stage >= 2;
	t->zero3.on = t->optim.apart = t->recipe.zero_stage == 3;
	for (size_t n = most > LOOKED_AT ? most - LOOKED_AT : 1; n <= most && !s->rounds; n++)
		s->most_parts = MAX(s->most_parts, deal(s, n, NULL, NULL, &s->level));
}

/* One buffer more than a tree of the largest subtree wants: the one before is still going out. */
long share_leaves(const struct trainer *t) { return t->sharing.rounds ? 1 : 2L << t->sharing.level; }

/* Numbers of a micro-batch that an objective wants to see (objective.passed). */
static size_t passed_each(const struct trainer *t)
{
	return t->objective.row->passed ? tensor_count(&t->net.pass.plan.tensors[t->net.result]) : 0;
}

static size_t sums_bytes(const struct trainer *t)
{
	const struct sharing *s = &t->sharing;

	if (t->zero3.on)
		return zero3_tree_bytes(t);
	size_t buffers = s->rounds ? (size_t)grad_tree_buffers((long)t->dry.most_micro) : s->most_parts;

	return s->ranks ? buffers * s->own * sizeof(float) : 0;
}

size_t share_bytes(const struct trainer *t)
{
	size_t passed = t->sharing.ranks ? (size_t)t->dry.most_micro * passed_each(t) * sizeof(float) : 0;

	return sums_bytes(t) + passed;
}

int share_start(struct trainer *t, struct err *e)
{
	struct sharing *s = &t->sharing;
	void *sums;

	if (!s->ranks)
		return 0;
	s->parts = mem_array(s->most_parts, sizeof(*s->parts));
	s->come = mem_array(MAX(s->most_parts, (size_t)1), sizeof(*s->come));
	s->go = mem_array((size_t)s->ranks->size, sizeof(*s->go));
	s->passed_each = passed_each(t);
	s->passed = mem_array((size_t)t->dry.most_micro, s->passed_each * sizeof(*s->passed));
	if (t->zero3.on)
		return zero3_start(t, e);
	if (s->rounds)
		return grad_tree_init(&s->owned, MAX(s->own, (size_t)1), (long)t->dry.most_micro, t->kernels, t->pool,
		                      e);
	if (!sums_bytes(t))
		return 0;
	if (mem_map(&sums, sums_bytes(t), "gradients of other ranks", e) < 0)
		return -1;
	mem_touch(sums, sums_bytes(t));
	s->sums = sums;
	return 0;
}

void share_release(struct sharing *s)
{
	if (s->sums)
		mem_unmap(s->sums, s->most_parts * s->own * sizeof(float));
	grad_tree_release(&s->owned);
	mem_free(s->first);
	mem_free(s->number);
	mem_free(s->piece);
	mem_free(s->leaf_at);
	mem_free(s->parts);
	mem_free(s->come);
	mem_free(s->go);
	mem_free(s->passed);
	*s = (struct sharing){ 0 };
}

/* --- a step --- */

int share_order(struct trainer *t, struct err *e)
{
	struct ranks *r = t->sharing.ranks;

	char skipped[24];

	snprintf(skipped, sizeof(skipped), "%ld", t->skipped);
	return r && !r->rank ? ranks_order(r, RANKS_STEP, t->step, skipped, e) : 0;
}

/* Of part i what this rank owns; NULL: it owns nothing. */
static float *sum_of(const struct sharing *s, size_t i) { return s->sums ? s->sums + i * s->own : NULL; }

/* What comes of others lands while this rank computes. */
static void expect(struct sharing *s)
{
	for (size_t i = 0; i < s->n_parts; i++)
		if (s->parts[i].rank != s->ranks->rank)
			ranks_begin(s->ranks, &s->come[i], true, s->parts[i].rank, RANKS_TAG_GRADIENT + (int)i,
			            sum_of(s, i), s->own * sizeof(float));
}

void share_begin(struct trainer *t)
{
	struct sharing *s = &t->sharing;
	size_t own[2] = { 0, 0 };
	int level = 0;

	if (!s->ranks)
		return;
	s->sent = s->ranks->sent;
	s->received = s->ranks->received;
	s->waited = s->ranks->waited;
	s->gradient = NULL;
	s->next = 0;
	if (s->rounds)
		return;
	s->n_parts = deal(s, t->now.micros, s->parts, own, &level);
	if (s->n_parts > s->most_parts || level > s->level)
		BUG("a step of %zu micro-batches has %zu parts, %zu were planned", t->now.micros, s->n_parts,
		    s->most_parts);
	s->begin = own[0];
	s->end = own[1];
	for (; s->next < s->n_parts && s->parts[s->next].rank != s->ranks->rank;)
		s->next++;
	expect(s);
}

void share_forget(struct trainer *t)
{
	if (t->zero3.on)
		zero3_forget(t);
	else if (t->sharing.rounds)
		grad_tree_forget(&t->sharing.owned);
}

static bool is_own(const struct sharing *s, size_t leaf)
{
	if (s->rounds)
		return leaf % (size_t)s->ranks->size == (size_t)s->ranks->rank;
	return leaf >= s->begin && leaf < s->end;
}

/* Its documents are counted as if they had been there. */
bool share_passes(struct trainer *t)
{
	const struct sharing *s = &t->sharing;
	struct step *now = &t->now;
	size_t n = t->cuts[now->micro];

	if (!s->ranks || is_own(s, now->micro))
		return false;
	for (size_t i = 0; i < n; i++)
		now->group += i == 0 || !t->taken[now->document + i]->joined;
	now->document += n;
	now->micro++;
	return true;
}

/* Of the subtree before the last one; its buffer is free then. */
static int wait_gone(struct sharing *s, struct err *e)
{
	for (int k = 0; s->gradient && k < s->ranks->size; k++)
		if (k != s->ranks->rank && ranks_wait(s->ranks, &s->go[k], e) < 0)
			return -1;
	return 0;
}

/* s->gradient to those who update its parts. */
static void send_sum(struct sharing *s, int tag)
{
	for (int k = 0; k < s->ranks->size; k++)
		if (k != s->ranks->rank)
			ranks_begin(s->ranks, &s->go[k], false, k, tag, (char *)s->gradient + s->number[k],
			            s->number[k + 1] - s->number[k]);
}

/* The leaves of the next round, a rank's each; `own`: this rank has one of them, and it is done. */
static int take_round(struct trainer *t, bool own, struct err *e)
{
	struct sharing *s = &t->sharing;
	size_t ranks = (size_t)s->ranks->size, first = s->next * ranks;
	struct rank_transfer *x = &s->come[0];

	if (t->zero3.on)
		return zero3_round(t, own, e);
	s->next++;
	if (own) {
		s->gradient = grad_tree_sum(&t->gradients);
		send_sum(s, RANKS_TAG_GRADIENT);
	}
	for (size_t k = 0; k < ranks && first + k < t->now.micros; k++) {
		float *to = grad_tree_leaf(&s->owned);
		if ((int)k == s->ranks->rank)
			memcpy(to, (char *)s->gradient + s->number[k], s->own * sizeof(float));
		else
			ranks_begin(s->ranks, x, true, (int)k, RANKS_TAG_GRADIENT, to, s->own * sizeof(float));
		if ((int)k != s->ranks->rank && ranks_wait(s->ranks, x, e) < 0)
			return -1;
		grad_tree_add(&s->owned);
	}
	return wait_gone(s, e);
}

int share_added(struct trainer *t, struct err *e)
{
	struct sharing *s = &t->sharing;

	if (!s->ranks)
		return 0;
	if (s->rounds)
		return take_round(t, true, e);
	const struct part *p = &s->parts[s->next];
	if (t->now.micro < p->leaf + ((size_t)1 << p->level))
		return 0;
	if (wait_gone(s, e) < 0)
		return -1;
	s->gradient = grad_tree_sum(&t->gradients);
	send_sum(s, RANKS_TAG_GRADIENT + (int)s->next);
	if (s->sums)
		memcpy(sum_of(s, s->next), (char *)s->gradient + s->number[s->ranks->rank], s->own * sizeof(float));
	s->next++;
	return 0;
}

/* What lies in `data` of each leaf. A round's leaves lie beside each other, in the order of the ranks. */
static int gather_rounds(struct trainer *t, void *data, size_t each, struct err *e)
{
	struct sharing *s = &t->sharing;
	size_t ranks = (size_t)s->ranks->size, micros = t->now.micros;

	for (size_t first = 0; first < micros; first += ranks) {
		for (size_t k = 0; k <= ranks; k++)
			s->leaf_at[k] = MIN(first + k, micros) * each;
		if (ranks_gather(s->ranks, RANKS_TAG_LEAVES, data, s->leaf_at, e) < 0)
			return -1;
	}
	return 0;
}

static int gather_leaves(struct trainer *t, void *data, size_t each, struct err *e)
{
	struct sharing *s = &t->sharing;
	size_t leaf = 0, k = 0;

	if (s->rounds)
		return gather_rounds(t, data, each, e);
	for (size_t i = 0; i < s->n_parts; i++) {
		for (; k <= (size_t)s->parts[i].rank; k++)
			s->leaf_at[k] = leaf * each;
		leaf += (size_t)1 << s->parts[i].level;
	}
	for (; k <= (size_t)s->ranks->size; k++)
		s->leaf_at[k] = leaf * each;
	return ranks_gather(s->ranks, RANKS_TAG_LEAVES, data, s->leaf_at, e);
}

/* Who has none in the last round takes it here. */
int share_leaf_sums(struct trainer *t, struct err *e)
{
	struct sharing *s = &t->sharing;

	if (!s->ranks)
		return 0;
	while (s->rounds && s->next * (size_t)s->ranks->size < t->now.micros)
		if (take_round(t, false, e) < 0)
			return -1;
	if (gather_leaves(t, t->leaves, sizeof(*t->leaves), e) < 0)
		return -1;
	if (s->passed_each && gather_leaves(t, s->passed, s->passed_each * sizeof(*s->passed), e) < 0)
		return -1;
	step_passed(t);
	return 0;
}

bool share_keeps(struct trainer *t)
{
	struct sharing *s = &t->sharing;

	if (s->ranks)
		memcpy(s->passed + t->now.micro * s->passed_each, model_pass_result(&t->net),
		       s->passed_each * sizeof(*s->passed));
	return s->ranks != NULL;
}

int share_gradient(struct trainer *t, float *gradient, struct err *e)
{
	struct sharing *s = &t->sharing;

	return s->ranks ? ranks_gather(s->ranks, RANKS_TAG_GRADIENT, gradient, s->number, e) : 0;
}

struct addition { const struct kernels *kernels; float *to; const float *from; size_t n; };

static void add_piece(void *ctx, size_t item, int thread)
{
	const struct addition *a = ctx;
	size_t at = item * OPTIM_PIECE;

	(void)thread;
	a->kernels->add(a->to + at, a->to + at, a->from + at, MIN((size_t)OPTIM_PIECE, a->n - at));
}

/* to += from */
static float *join(const struct trainer *t, float *to, const float *from)
{
	size_t n = t->sharing.own;
	struct addition a = { t->kernels, to, from, n };

	pool_run(t->pool, (n + OPTIM_PIECE - 1) / OPTIM_PIECE, add_piece, &a);
	return to;
}

/* As grad_tree_add has it, of leaves that are subtrees already. */
static float *add_parts(const struct trainer *t)
{
	const struct sharing *s = &t->sharing;
	float *waiting[GRAD_TREE_LEVELS] = { NULL }, *sum;
	int level;

	for (size_t i = 0; i < s->n_parts; i++) {
		sum = sum_of(s, i);
		for (level = s->parts[i].level; waiting[level]; level++) {
			sum = join(t, waiting[level], sum);
			waiting[level] = NULL;
		}
		waiting[level] = sum;
	}
	sum = NULL;
	for (level = 0; level < GRAD_TREE_LEVELS; level++)
		if (waiting[level])
			sum = sum ? join(t, waiting[level], sum) : waiting[level];
	return sum;
}

int share_sum(struct trainer *t, float **gradient, struct err *e)
{
	struct sharing *s = &t->sharing;

	if (!s->ranks) {
		*gradient = grad_tree_sum(&t->gradients);
		return 0;
	}
	if (t->zero3.on) {
		*gradient = zero3_sum(t);
		return 0;
	}
	for (size_t i = 0; i < s->n_parts; i++)
		if (s->parts[i].rank != s->ranks->rank && ranks_wait(s->ranks, &s->come[i], e) < 0)
			return -1;
	/* what is ours of the last subtree goes to nobody */
	*gradient = s->gradient ? s->gradient : grad_tree_leaf(&t->gradients);
	const float *sum = s->rounds ? grad_tree_sum(&s->owned) : s->own ? add_parts(t) : NULL;
	if (s->own)
		memcpy((char *)*gradient + s->number[s->ranks->rank], sum, s->own * sizeof(float));
	return wait_gone(s, e);
}

int share_norm(struct trainer *t, struct err *e)
{
	struct sharing *s = &t->sharing;

	return s->ranks ? ranks_gather(s->ranks, RANKS_TAG_NORM, t->optim.partials, s->piece, e) : 0;
}

int share_weights(struct trainer *t, struct err *e)
{
	struct sharing *s = &t->sharing;

	if (!s->ranks)
		return 0;
	if (t->zero3.on)
		zero3_updated(t);
	else if (ranks_gather(s->ranks, RANKS_TAG_WEIGHTS, t->params->w, s->number, e) < 0)
		return -1;
	t->now.metrics.sent = s->ranks->sent - s->sent;
	t->now.metrics.received = s->ranks->received - s->received;
	t->now.metrics.waited = s->ranks->waited - s->waited;
	return 0;
}

int share_show(struct trainer *t, struct err *e)
{
	struct sharing *s = &t->sharing;

	return s->ranks && !t->zero3.on ? ranks_gather(s->ranks, RANKS_TAG_WEIGHTS, t->params->w, s->number, e) : 0;
}

/* --- those that follow --- */

/* What fails here fails in rank 0 alike, or is told it there. */
static void obey(struct trainer *t, struct ranks *r, struct err *e)
{
	struct step_metrics m;

	if (r->order.what == RANKS_STEP && r->order.number != t->step)
		BUG("rank %d is at step %ld, rank 0 at %lld", r->rank, t->step, (long long)r->order.number);
	if (r->order.what == RANKS_STEP)
		t->skipped = strtol(r->order.text, NULL, 10);
	if (r->order.what == RANKS_STEP)
		trainer_step(t, &m, e);
	else if (r->order.what == RANKS_SAVE)
		trainer_save_part(t, r->order.text, e);
	else if (r->order.what == RANKS_LOAD)
		trainer_load_part(t, r->order.text, (long)r->order.number, e);
	else if (r->order.what == RANKS_SHOW)
		trainer_show_part(t, r->order.number, e);
	else if (r->order.what == RANKS_HIDE)
		trainer_hide(t, true);
	else if (r->order.what == RANKS_TELL)
		ranks_tell(r, e);
	else if (r->order.what == RANKS_LEND)
		zero3_lend(t, r->order.number, e);
}

int trainer_follow(struct trainer *t, struct err *e)
{
	struct ranks *r = t->sharing.ranks;

	while (!r->failed && ranks_next(r, e) == 0 && !r->over && r->order.what != RANKS_RUN)
		obey(t, r, e);
	return r->failed ? -1 : 0;
}
