/* batcher: prompts that come and go, answered beside each other by one session. A slot is a sequence of the
 * session, with the request that has it or with what the last one left there. Which beginning a request takes over
 * is decided when it gets its slot: the longest that any slot has, or will have when its prompt is read. The slot
 * that is given up for it is an empty one, else the one that was used least lately.
 *
 * What the cache holds is counted in the session's ranges: those that are held, and those that answers which began
 * still take. A request begins when its own fit beside them; for that kept sequences are dropped, the least lately used
 * first. One that does not fit keeps its slot and lets nobody else in before it.
 *
 * A request waits for another's prompt only where that spares it WORTH tokens, as a pass of few rows takes nearly as
 * long as one of many; and only for one that came before it, so none wait for each other. */
#include "infer/batcher.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "infer/token_costs.h"
#include "infer/turns.h"

enum { WORTH = 16, LEAST_ROWS = 16, FIRST_ROWS = 64 /* while nothing is known of a row's time */ };
#define ALONE 4.0                      /* times step_seconds, where no answer grows */
#define LATELY 0.3                     /* weight of the last step in a row's time */

struct request {
	int64_t ticket;
	struct batcher_request asked;  /* ids and scored are its own */
	uint8_t *which;                /* of one that is scored [n]: whose logits are wanted for that, and the last */
	struct sampler wanted;
	bool cancelled;
};

struct slot {
	struct request *request;       /* NULL: idle */
	bool begun;
	bool waits_for_room;           /* not begun: for what others hold of the cache */
	bool over;                     /* its answer is complete, done is still to be called */
	bool unwanted;                 /* what its prompt costs has ended it, in this step */
	/* Not begun: whose prompt it waits for, in which slot, until that has read so many tokens. */
	int64_t awaited_ticket;
	int awaited;
	size_t awaited_tokens;
	int most;                      /* tokens that it may come to hold */
	size_t fed;                    /* tokens of the prompt that are in the session */
	int64_t used;                  /* the step in which what it has was used last, −1: it has nothing */
	int32_t feed[1 + DRAFT_MOST];  /* the answer's newest token, to be fed, and guesses of those after it */
	int32_t drawn[1 + DRAFT_MOST]; /* after these, [n_drawn] of this step */
	int n_drawn;
	struct guesses ahead;
	int rows;                      /* of this step */
	struct live work;
	double seconds, since;         /* its part of the steps' time, by rows; the time of all steps before it began */
	struct sampler sampler;
	struct answer answer;
	struct generation g;
};

struct batcher {
	struct session *s;
	const struct tokenizer *tokenizer;
	struct pool *pool;
	struct request **queue;        /* from number `head` on n_queue, the first comes next */
	size_t head, n_queue, cap_queue;
	int64_t next_ticket, steps;
	size_t new_tokens;
	double seconds;                /* of all steps */
	struct slot *slots;
	int n_slots;
	struct session_part *parts;    /* [n_slots] of this step */
	struct slot **of_part;
	struct guesses **drafts;         /* [n_slots] */
	int n_parts, guesses;
	struct batcher_limits limits;
	struct turns turns;            /* where they are to be fair */
	struct token_costs costs;      /* once a request is scored */
	double row_seconds;            /* of a step by its rows of prompts, lately; 0: not known */
	int prompt_rows;               /* of this step */
};

struct batcher *batcher_new(struct session *s, const struct tokenizer *t, struct pool *pool)
{
	struct batcher *b = mem_alloc(sizeof(*b));

	*b = (struct batcher){ .s = s, .tokenizer = t, .pool = pool, .n_slots = session_sequences(s) };
	b->slots = mem_array((size_t)b->n_slots, sizeof(*b->slots));
	b->parts = mem_array((size_t)b->n_slots, sizeof(*b->parts));
	b->of_part = mem_array((size_t)b->n_slots, sizeof(struct slot *));
	b->drafts = mem_array((size_t)b->n_slots, sizeof(struct guesses *));
	for (int i = 0; i < b->n_slots; i++)
		b->slots[i].used = -1;
	batcher_limit(b, &(struct batcher_limits){ 0 });
	return b;
}

void batcher_limit(struct batcher *b, const struct batcher_limits *l)
{
	int full = session_ranges_full(b->s);

	if (l->ranges && l->ranges < full)
		BUG("%d ranges for sequences of %d", l->ranges, full);
	if (l->fair != b->limits.fair && batcher_busy(b))
		BUG("requests that are there were not counted");
	b->limits = *l;
	if (!l->parallel || l->parallel > b->n_slots)
		b->limits.parallel = b->n_slots;
	if (!l->ranges)
		b->limits.ranges = INT_MAX;
}

static void request_free(struct request *r)
{
	mem_free((void *)(uintptr_t)r->asked.ids);
	mem_free((void *)(uintptr_t)r->asked.scored);
	mem_free(r->which);
	mem_free(r);
}

void batcher_free(struct batcher *b)
{
	if (!b)
		return;
	for (int i = 0; i < b->n_slots; i++) {
		struct slot *slot = &b->slots[i];
		if (slot->begun && !slot->over)
			answer_end(&slot->answer);
		generation_release(&slot->g);
		if (slot->request)
			request_free(slot->request);
		sampler_release(&slot->sampler);
		session_drop(b->s, i);
	}
	for (size_t i = 0; i < b->n_queue; i++)
		request_free(b->queue[b->head + i]);
	mem_free(b->queue);
	turns_release(&b->turns);
	token_costs_release(&b->costs);
	mem_free(b->slots);
	mem_free(b->parts);
	mem_free(b->of_part);
	mem_free(b->drafts);
	mem_free(b);
}

/* --- requests --- */

static void enqueue(struct batcher *b, struct request *r)
{
	if (b->head + b->n_queue == b->cap_queue) {
		if (b->n_queue)
			memmove(b->queue, b->queue + b->head, b->n_queue * sizeof(struct request *));
		b->head = 0;
		b->cap_queue = MAX(2 * b->n_queue, (size_t)16);
		b->queue = mem_grow(b->queue, b->cap_queue, sizeof(struct request *));
	}
	b->queue[b->head + b->n_queue++] = r;
}

static struct request *take_from_queue(struct batcher *b, size_t i)
{
	struct request **at = &b->queue[b->head + i], *r = *at;

	if (i == 0)
		b->head++;
	else
		memmove(at, at + 1, (b->n_queue - 1 - i) * sizeof(struct request *));
	b->n_queue--;
	return r;
}

/* −log p of token i is of the logits of the one before. */
static void score(struct batcher *b, struct request *r, const uint8_t *scored)
{
	size_t n = r->asked.n;
	uint8_t *own = mem_array(n, 1);

	memcpy(own, scored, n);
	own[0] = 0;
	r->asked.scored = own;
	r->which = mem_array(n, 1);
	memcpy(r->which, own + 1, n - 1);
	r->which[n - 1] = 1;
	if (!b->costs.cost)
		token_costs_want(&b->costs, b->n_slots, (size_t)session_limit(b->s), session_vocabulary(b->s),
		                 session_kernels(b->s));
}

int64_t batcher_add(struct batcher *b, const struct batcher_request *asked, struct err *e)
{
	size_t limit = (size_t)session_limit(b->s);

	if (asked->n == 0)
		BUG("a prompt without tokens");
	if (asked->n >= limit) {
		err_set(e, "the prompt has %zu tokens, the context holds %zu: there is no room for an answer", asked->n,
		        limit);
		return -1;
	}
	struct request *r = mem_alloc(sizeof(*r));
	int32_t *ids = mem_array(asked->n, sizeof(*ids));
	memcpy(ids, asked->ids, asked->n * sizeof(*ids));
	*r = (struct request){ .ticket = b->next_ticket++, .asked = *asked, .wanted = *asked->generate.sampler };
	r->asked.ids = ids;
	if (asked->scored)
		score(b, r, asked->scored);
	if (b->limits.fair)
		turns_come(&b->turns, asked->client, asked->adapter);
	enqueue(b, r);
	return r->ticket;
}

bool batcher_cancel(struct batcher *b, int64_t ticket)
{
	struct request *r = NULL;

	for (int i = 0; i < b->n_slots; i++)
		if (b->slots[i].request && b->slots[i].request->ticket == ticket && !b->slots[i].over)
			r = b->slots[i].request;
	for (size_t i = 0; i < b->n_queue; i++)
		if (b->queue[b->head + i]->ticket == ticket)
			r = b->queue[b->head + i];
	if (r)
		r->cancelled = true;
	return r;
}

bool batcher_busy(const struct batcher *b)
{
	for (int i = 0; i < b->n_slots; i++)
		if (b->slots[i].request)
			return true;
	return b->n_queue > 0;
}

size_t batcher_new_tokens(const struct batcher *b) { return b->new_tokens; }

/* --- ends --- */

static int sequence_of(const struct batcher *b, const struct slot *slot) { return (int)(slot - b->slots); }

/* Its answer is complete: what it has computed stays in its sequence. */
static void complete(struct batcher *b, struct slot *slot)
{
	answer_end(&slot->answer);
	session_operations(b->s, &slot->work, &slot->g.flops, &slot->g.int_ops);
	if (b->limits.drafter)
		drafter_end(b->limits.drafter, sequence_of(b, slot), &slot->g.flops, &slot->g.int_ops);
	slot->g.share = b->seconds > slot->since ? slot->seconds / (b->seconds - slot->since) : 1;
	slot->over = true;
}

static int say_done(struct batcher *b, struct request *r, struct generation *g, struct err *e)
{
	if (b->limits.fair)
		turns_go(&b->turns, r->asked.client, r->asked.adapter);
	int status = r->asked.done(r->asked.ctx, r->ticket, g, e);

	generation_release(g);
	request_free(r);
	return status;
}

static int give_slot_back(struct batcher *b, struct slot *slot, struct err *e)
{
	struct request *r = slot->request;
	struct generation g = slot->g;

	slot->request = NULL;
	slot->begun = slot->over = slot->waits_for_room = false;
	slot->g = (struct generation){ 0 };
	slot->used = session_length(b->s, sequence_of(b, slot)) ? b->steps : -1;
	return say_done(b, r, &g, e);
}

/* Those that are over, in the order of their slots; one that is not 0 leaves the others for the next time. */
static int say_all_done(struct batcher *b, struct err *e)
{
	int status = 0;

	for (int i = 0; i < b->n_slots && !status; i++)
		if (b->slots[i].over)
			status = give_slot_back(b, &b->slots[i], e);
	return status;
}

/* Whether a request is to end, and how. */
static bool is_ended(const struct request *r, double now, enum finish *how)
{
	*how = r->cancelled ? FINISH_CANCELLED : FINISH_TIMEOUT;
	return r->cancelled || (r->asked.until > 0 && now >= r->asked.until);
}

static int end_cancelled(struct batcher *b, struct err *e)
{
	double now = clock_seconds();
	enum finish how;
	int status = 0;

	for (int i = 0; i < b->n_slots; i++) {
		struct slot *slot = &b->slots[i];
		if (!slot->request || slot->over || !is_ended(slot->request, now, &how))
			continue;
		if (slot->begun)
			complete(b, slot);
		slot->over = true;
		slot->g.finish = how;
	}
	for (size_t i = 0; i < b->n_queue && !status;) {
		struct request *r = b->queue[b->head + i];
		if (!is_ended(r, now, &how)) {
			i++;
			continue;
		}
		struct generation none = { .finish = how };
		take_from_queue(b, i);
		status = say_done(b, r, &none, e);
	}
	return status;
}

/* --- beginnings --- */

/* What a request may go on from: a slot, and how many of its tokens. */
struct beginning { int slot; size_t tokens; };

/* The tokens that a slot has, or will have when its prompt is read. */
static size_t tokens_of(const struct batcher *b, int i, const int32_t **ids)
{
	const struct request *r = b->slots[i].request;

	if (r && b->slots[i].fed < r->asked.n) {
		*ids = r->asked.ids;
		return r->asked.n;
	}
	*ids = session_ids(b->s, i);
	return (size_t)session_length(b->s, i);
}

/* Is −log p of token k of a slot known, or will be when its prompt is read? */
static bool known(const struct batcher *b, int i, int adapter, size_t k)
{
	const struct slot *slot = &b->slots[i];
	const struct batcher_request *r = slot->request ? &slot->request->asked : NULL;
	bool reads = r && slot->fed < r->n && k > slot->fed;

	if ((r ? r->adapter : session_adapter(b->s, i)) != adapter)
		return false;
	return reads ? r->scored && r->scored[k] : !isnan(token_costs_of(&b->costs, i)[k]);
}

/* How many of a prompt's tokens, but the last, a slot's begin with; of one that is scored so many that what is wanted
 * of all after them is still computed. */
static size_t common(const struct batcher *b, int i, const struct request *r)
{
	const uint8_t *scored = r->asked.scored;
	const int32_t *ids;
	size_t n = tokens_of(b, i, &ids), same;

	same = session_common(b->s, i, ids, n, r->asked.adapter, r->asked.ids, r->asked.n);
	if (!scored || !same)
		return same;
	for (size_t k = 1; k < same; k++)
		if (scored[k] && !known(b, i, r->asked.adapter, k))
			return k - 1;
	return same - scored[same];
}

/* The longest there is now, and the longest there will be. */
static void find_beginnings(const struct batcher *b, const struct request *r, struct beginning *now,
                            struct beginning *later)
{
	*now = *later = (struct beginning){ .slot = -1 };
	for (int i = 0; i < b->n_slots; i++) {
		const struct request *other = b->slots[i].request;
		if (other == r)
			continue;
		size_t all = common(b, i, r), had = MIN(all, (size_t)session_length(b->s, i));
		if (had > now->tokens)
			*now = (struct beginning){ i, had };
		if (all > later->tokens && (!other || other->ticket < r->ticket))
			*later = (struct beginning){ i, all };
	}
}

/* Ranges that answers which began may still take. */
static int ranges_wanted(const struct batcher *b)
{
	int sum = 0;

	for (int i = 0; i < b->n_slots; i++)
		if (b->slots[i].begun && !b->slots[i].over)
			sum += session_wants(b->s, i, b->slots[i].most);
	return sum;
}

/* Of the sequences that are kept, but that one: the one that was used least lately; −1: there is none. */
static int least_used(const struct batcher *b, int but)
{
	int best = -1;

	for (int i = 0; i < b->n_slots; i++)
		if (!b->slots[i].request && b->slots[i].used >= 0 && i != but &&
		    (best < 0 || b->slots[i].used < b->slots[best].used))
			best = i;
	return best;
}

static void forget(struct batcher *b, int i)
{
	session_drop(b->s, i);
	b->slots[i].used = -1;
}

/* Gives kept sequences up until so many ranges more than are wanted can be taken. */
static bool make_room(struct batcher *b, int sequence, int tokens)
{
	while (session_ranges(b->s) + ranges_wanted(b) + session_wants(b->s, sequence, tokens) > b->limits.ranges) {
		int least = least_used(b, sequence);
		if (least < 0)
			return false;
		forget(b, least);
	}
	return true;
}

/* What it goes on from comes into its sequence. */
static void take_over(struct batcher *b, struct slot *slot, const struct beginning *from)
{
	int sequence = sequence_of(b, slot);

	if (from->slot == sequence) {
		slot->fed = (size_t)session_truncate(b->s, sequence, (int)from->tokens);
	} else {
		session_drop(b->s, sequence);
		slot->fed = from->tokens ? (size_t)session_branch(b->s, sequence, from->slot, (int)from->tokens) : 0;
		if (from->tokens && !b->slots[from->slot].request)
			b->slots[from->slot].used = b->steps;
	}
	/* where the next one is scored, it is what stands there too (common) */
	const uint8_t *scored = slot->request->asked.scored;
	token_costs_begin(&b->costs, sequence, slot->fed ? from->slot : -1, slot->fed, scored && scored[slot->fed]);
}

static void begin(struct batcher *b, struct slot *slot, const struct beginning *from)
{
	struct request *r = slot->request;
	int sequence = sequence_of(b, slot);

	take_over(b, slot, from);
	session_use(b->s, sequence, r->asked.adapter);
	slot->most = (int)MIN(r->asked.n + r->asked.generate.max_new_tokens, (size_t)session_limit(b->s));
	slot->waits_for_room = !make_room(b, sequence, slot->most);
	if (slot->waits_for_room) { /* nothing is held meanwhile */
		session_drop(b->s, sequence);
		slot->fed = 0;
		return;
	}
	session_invoke(b->s, sequence, r->asked.ids, r->asked.n);
	if (!slot->sampler.logit)
		sampler_init(&slot->sampler, session_vocabulary(b->s));
	sampler_like(&slot->sampler, &r->wanted);
	sampler_see(&slot->sampler, r->asked.ids, r->asked.n);
	r->asked.generate.sampler = &slot->sampler;
	answer_begin(&slot->answer, b->tokenizer, &r->asked.generate, &slot->g);
	slot->g.kept = slot->fed;
	slot->begun = true;
	if (b->limits.fair)
		turns_serve(&b->turns, r->asked.client, r->asked.adapter,
		            TURNS_PROMPT * (double)(r->asked.n - slot->fed));
	slot->work = (struct live){ 0 };
	slot->seconds = 0;
	slot->since = b->seconds;
	if (r->asked.begun)
		r->asked.begun(r->asked.ctx, r->ticket);
}

static void begin_or_wait(struct batcher *b, struct slot *slot, const struct beginning *now,
                          const struct beginning *later)
{
	int sequence = sequence_of(b, slot);

	if (later->tokens < now->tokens + WORTH) {
		begin(b, slot, now);
		return;
	}
	session_drop(b->s, sequence);
	session_use(b->s, sequence, slot->request->asked.adapter);
	session_invoke(b->s, sequence, slot->request->asked.ids, slot->request->asked.n);
	slot->waits_for_room = false;
	slot->awaited = later->slot;
	slot->awaited_ticket = b->slots[later->slot].request->ticket;
	slot->awaited_tokens = later->tokens;
}

/* Does what a slot waits for still come? */
static bool still_waits(const struct batcher *b, const struct slot *slot)
{
	const struct slot *other = &b->slots[slot->awaited];

	return other->request && !other->over && other->request->ticket == slot->awaited_ticket &&
	       other->fed < slot->awaited_tokens;
}

/* The idle slot that a request gets, NULL: there is none. One that has nothing that it does not begin with, else the
 * one that has been idle for longest, but rather not the one that it goes on from. */
static struct slot *choose_slot(struct batcher *b, const struct beginning *now)
{
	struct slot *best = NULL;

	for (int i = 0; i < b->n_slots; i++) {
		struct slot *slot = &b->slots[i];
		bool is_from = i == now->slot, best_is_from = best && sequence_of(b, best) == now->slot;
		if (slot->request)
			continue;
		if (is_from && now->tokens == (size_t)session_length(b->s, i))
			return slot;
		if (!best || best_is_from || (!is_from && slot->used < best->used))
			best = slot;
	}
	return best;
}

/* Those that have a slot and waited; how many have one, −1 where one of them waits for room. */
static int begin_waiting(struct batcher *b)
{
	struct beginning now, later;
	int used = 0;
	bool full = false;

	for (int i = 0; i < b->n_slots; i++) {
		struct slot *slot = &b->slots[i];
		used += slot->request != NULL;
		if (!slot->request || slot->begun || slot->over || (!slot->waits_for_room && still_waits(b, slot)))
			continue;
		find_beginnings(b, slot->request, &now, &later);
		begin_or_wait(b, slot, &now, &later);
		full |= slot->waits_for_room;
	}
	return full ? -1 : used;
}

/* Its number in the queue. */
static size_t next_in_queue(const struct batcher *b)
{
	size_t best = 0;

	for (size_t i = 1; b->limits.fair && i < b->n_queue; i++) {
		const struct batcher_request *r = &b->queue[b->head + i]->asked,
					     *first = &b->queue[b->head + best]->asked;
		if (turns_before(&b->turns, r->client, r->adapter, first->client, first->adapter))
			best = i;
	}
	return best;
}

static void give_slots_out(struct batcher *b)
{
	struct beginning now, later;
	int used = begin_waiting(b);

	while (b->n_queue && used >= 0 && used < b->limits.parallel) {
		size_t next = next_in_queue(b);
		find_beginnings(b, b->queue[b->head + next], &now, &later);
		struct slot *slot = choose_slot(b, &now);
		if (!slot)
			return;
		slot->request = take_from_queue(b, next);
		slot->fed = 0;
		begin_or_wait(b, slot, &now, &later);
		used = slot->waits_for_room ? -1 : used + 1;
	}
}

/* --- a step --- */

/* Tokens of a slot's prompt that are not in the session yet. */
static int unread(const struct slot *slot)
{
	return slot->begun && !slot->over ? (int)(slot->request->asked.n - slot->fed) : 0;
}

static bool grows(const struct slot *slot) { return slot->begun && !slot->over && !unread(slot); }

/* Rows of prompts that a step may have beside so many answers that grow. */
static int rows_for_prompts(const struct batcher *b, int growing)
{
	int room = session_rows(b->s) - growing;
	double seconds = b->limits.step_seconds * (growing ? 1 : ALONE);

	if (b->limits.step_seconds <= 0)
		return room;
	if (b->row_seconds <= 0)
		return MIN(room, FIRST_ROWS);
	return (int)fmin(room, fmax(LEAST_ROWS, seconds / b->row_seconds));
}

/* Of these, how many each prompt gets: a part for each, then what is left to one after another; all in the order of
 * slots where steps are not bounded. */
static void deal_rows(struct batcher *b, int room, int reading)
{
	int first = b->limits.step_seconds > 0 ? (int)(b->steps % b->n_slots) : 0;
	int part = b->limits.step_seconds > 0 ? MAX(room / MAX(reading, 1), LEAST_ROWS) : room;

	for (int pass = 0; pass < 2; pass++)
		for (int k = 0; k < b->n_slots; k++) {
			struct slot *slot = &b->slots[(first + k) % b->n_slots];
			int more = MIN(unread(slot) - slot->rows, MIN(room, pass ? room : part));
			if (more <= 0)
				continue;
			slot->rows += more;
			room -= more;
		}
}

/* Guesses for the answers that grow, each as many as may still be its own. */
static int guess(struct batcher *b, struct err *e)
{
	int n = 0, begun = 0, left;

	for (int i = 0; i < b->n_slots; i++)
		begun += b->slots[i].begun;
	left = MIN(session_logits(b->s), session_rows(b->s)) - begun;
	for (int i = 0; i < b->n_slots; i++) {
		struct slot *slot = &b->slots[i];
		int length = session_length(b->s, i), room;
		if (!grows(slot))
			continue;
		room = (int)MIN(slot->request->asked.generate.max_new_tokens - slot->g.ids.n, DRAFT_MOST);
		slot->ahead = (struct guesses){ .sequence = i,
			                      .ids = session_ids(b->s, i),
			                      .n = (size_t)length,
			                      .next = slot->feed[0],
			                      .sampler = &slot->sampler,
			                      .room = MAX(MIN(room, slot->most - length - 1), 0) };
		b->drafts[n++] = &slot->ahead;
	}
	for (int i = 0; i < n; i++)
		b->drafts[i]->room = MIN(b->drafts[i]->room, left / n);
	return drafter_guess(b->limits.drafter, b->drafts, n, e);
}

/* The part of a slot whose prompt is read: of its rows as many as have their logits among `left`. */
static struct session_part prompt_part(struct slot *slot, int *left)
{
	const struct batcher_request *r = &slot->request->asked;
	struct session_part part = { .ids = r->ids + slot->fed };

	if (slot->request->which)
		part.which = slot->request->which + slot->fed;
	for (; part.n < slot->rows; part.n++) {
		bool wanted = part.which ? part.which[part.n] : slot->fed + (size_t)part.n + 1 == r->n;
		if (wanted && *left == 0)
			break;
		part.wanted += wanted;
		*left -= wanted;
	}
	slot->fed += (size_t)part.n;
	return part;
}

/* One part for each slot that has tokens to feed. */
static void make_parts(struct batcher *b)
{
	int growing = 0, reading = 0;

	b->guesses = 0;
	for (int i = 0; i < b->n_slots; i++) {
		struct slot *slot = &b->slots[i];
		reading += unread(slot) > 0;
		slot->rows = grows(slot);
		if (slot->rows && b->limits.drafter) {
			memcpy(slot->feed + 1, slot->ahead.out, (size_t)slot->ahead.n_out * sizeof(*slot->feed));
			slot->rows += slot->ahead.n_out;
			b->guesses += slot->ahead.n_out;
		}
		growing += slot->rows;
	}
	deal_rows(b, rows_for_prompts(b, growing), reading);
	b->n_parts = b->prompt_rows = 0;
	int left = session_logits(b->s) - growing;
	for (int i = 0; i < b->n_slots; i++) {
		struct slot *slot = &b->slots[i];
		struct session_part part = { .ids = slot->feed, .n = slot->rows, .wanted = slot->rows };
		if (slot->rows && unread(slot)) {
			part = prompt_part(slot, &left);
			b->prompt_rows += part.n;
		}
		part.sequence = i;
		if (part.n == 0)
			continue;
		b->of_part[b->n_parts] = slot;
		b->parts[b->n_parts++] = part;
	}
}

/* The costs of a prompt's tokens; of its logits those of the last token are left. */
static void take_costs(struct batcher *b, struct slot *slot, struct session_part *p)
{
	const struct batcher_request *r = &slot->request->asked;
	size_t first = slot->fed - (size_t)p->n, V = session_vocabulary(b->s), at = 0;

	for (size_t k = first + 1; k <= slot->fed; k++) {
		if (!p->which[k - 1 - first])
			continue;
		if (k < r->n)
			token_costs_add(&b->costs, p->sequence, k, r->ids[k], p->logits + at * V);
		at++;
	}
	p->logits = slot->fed == r->n ? p->logits + (at - 1) * V : NULL;
	p->wanted = p->logits != NULL;
}

/* Whoever wanted costs is told of them when all of the prompt is read, and may end the answer before it begins. */
static void tell_costs(struct batcher *b, struct slot *slot, struct session_part *p)
{
	const struct request *r = slot->request;

	if (!p->logits || !r->asked.read(r->asked.ctx, r->ticket, token_costs_of(&b->costs, p->sequence)))
		return;
	p->logits = NULL;
	slot->unwanted = true;
}

static void end_unwanted(struct batcher *b, struct slot *slot)
{
	slot->unwanted = false;
	complete(b, slot);
	slot->g.finish = FINISH_FILTER;
}

/* Before anything is drawn. */
static void read_costs(struct batcher *b)
{
	for (int i = 0; i < b->n_parts; i++)
		if (b->parts[i].which)
			take_costs(b, b->of_part[i], &b->parts[i]);
	token_costs_compute(&b->costs, b->pool);
	for (int i = 0; i < b->n_parts; i++)
		if (b->parts[i].which)
			tell_costs(b, b->of_part[i], &b->parts[i]);
}

static void draw(void *ctx, size_t item, int thread)
{
	struct batcher *b = ctx;
	struct slot *slot = b->of_part[item];
	const struct session_part *p = &b->parts[item];
	(void)thread;

	if (p->logits)
		slot->n_drawn = speculate_draw(&slot->sampler, p->logits, slot->feed, p->wanted, slot->drawn);
}

/* A step's time and work, to those that were in it: time by their rows. */
static void distribute(struct batcher *b, double seconds)
{
	double rows = 0;

	for (int i = 0; i < b->n_parts; i++)
		rows += b->parts[i].work.rows;
	for (int i = 0; i < b->n_parts; i++) {
		live_add(&b->of_part[i]->work, &b->parts[i].work, 1);
		b->of_part[i]->seconds += seconds * b->parts[i].work.rows / rows;
	}
	b->seconds += seconds;
	if (b->prompt_rows >= LEAST_ROWS) {
		double one = seconds / b->prompt_rows;
		b->row_seconds = b->row_seconds > 0 ? (1 - LATELY) * b->row_seconds + LATELY * one : one;
	}
}

/* Guesses that were not drawn are forgotten, and those after the answer's end; `taken` tokens are the answer's. */
static void check_guesses(struct batcher *b, struct slot *slot, int guesses, int taken)
{
	int sequence = sequence_of(b, slot), right = slot->n_drawn - 1;

	session_truncate(b->s, sequence, session_length(b->s, sequence) - guesses + taken - 1);
	drafter_took(b->limits.drafter, sequence, guesses, right);
	slot->g.guessed += (size_t)guesses;
	slot->g.right += (size_t)right;
}

/* What a step brought to one slot. */
static void take_tokens(struct batcher *b, struct slot *slot, const struct session_part *p)
{
	int guesses = p->wanted - 1, before = session_length(b->s, p->sequence) - guesses, limit = session_limit(b->s);
	size_t V = session_vocabulary(b->s);
	bool over = false;
	int i = 0;

	for (; i < slot->n_drawn && !over; i++) {
		token_costs_add(&b->costs, p->sequence, (size_t)(before + i), slot->drawn[i],
		                p->logits + (size_t)i * V);
		b->new_tokens++;
		if (b->limits.fair)
			turns_serve(&b->turns, slot->request->asked.client, slot->request->asked.adapter, TURNS_ANSWER);
		over = answer_add(&slot->answer, slot->drawn[i], p->logits + (size_t)i * V, before + i == limit);
	}
	if (guesses)
		check_guesses(b, slot, guesses, i);
	slot->feed[0] = slot->drawn[slot->n_drawn - 1];
	if (over)
		complete(b, slot);
}

int batcher_step(struct batcher *b, struct err *e)
{
	int status = end_cancelled(b, e);

	if (!status)
		status = say_all_done(b, e);
	if (status)
		return status;
	give_slots_out(b);
	double began = clock_seconds();
	size_t before = b->new_tokens;
	if (b->limits.drafter && guess(b, e) < 0)
		return -1;
	make_parts(b);
	if (b->n_parts == 0)
		return 0;
	b->steps++;
	if (session_step(b->s, b->parts, b->n_parts, e) < 0)
		return -1;
	read_costs(b);
	pool_run(b->pool, (size_t)b->n_parts, draw, b);
	distribute(b, clock_seconds() - began);
	for (int i = 0; i < b->n_parts; i++)
		if (b->parts[i].logits)
			take_tokens(b, b->of_part[i], &b->parts[i]);
		else if (b->of_part[i]->unwanted)
			end_unwanted(b, b->of_part[i]);
	token_costs_compute(&b->costs, b->pool);
	if (b->limits.drafter && !b->prompt_rows)
		drafter_pass(b->limits.drafter, clock_seconds() - began, b->new_tokens - before, b->guesses);
	return say_all_done(b, e);
}

/* --- sequences as others see them --- */

int batcher_slots(const struct batcher *b) { return b->n_slots; }

struct batcher_slot batcher_slot(const struct batcher *b, int i)
{
	const struct slot *slot = &b->slots[i];
	struct batcher_slot out = { .ticket = -1, .tokens = (size_t)session_length(b->s, i),
		                    .adapter = session_adapter(b->s, i) };

	if (slot->request) {
		out.ticket = slot->request->ticket;
		out.prompt = slot->request->asked.n;
		out.reads = !slot->begun || unread(slot);
		out.made = slot->g.ids.n;
	}
	return out;
}

static int check_idle(const struct batcher *b, int i, struct err *e)
{
	if (i < 0 || i >= b->n_slots)
		return err_set(e, "there is no slot %d: they are 0 to %d", i, b->n_slots - 1);
	return b->slots[i].request ? err_set(e, "slot %d is answering", i) : 0;
}

int batcher_erase(struct batcher *b, int i, struct err *e)
{
	if (check_idle(b, i, e) < 0)
		return -1;
	forget(b, i);
	return 0;
}

int batcher_save(struct batcher *b, int i, const char *path, struct err *e)
{
	if (check_idle(b, i, e) < 0)
		return -1;
	if (!session_length(b->s, i))
		return err_set(e, "slot %d holds nothing", i);
	return session_save(b->s, i, path, e);
}

int batcher_restore(struct batcher *b, int i, int adapter, const char *path, struct err *e)
{
	if (check_idle(b, i, e) < 0)
		return -1;
	forget(b, i);
	token_costs_begin(&b->costs, i, -1, 0, false);
	session_use(b->s, i, adapter);
	if (!make_room(b, i, session_limit(b->s)))
		return err_set(e, "what is being answered leaves no room in the cache");
	if (session_load(b->s, i, path, e) < 0)
		return -1;
	b->slots[i].used = b->steps;
	return 0;
}

void batcher_forget(struct batcher *b, int adapter)
{
	for (int i = 0; i < b->n_slots; i++)
		if (!b->slots[i].request && session_adapter(b->s, i) == adapter)
			forget(b, i);
}
