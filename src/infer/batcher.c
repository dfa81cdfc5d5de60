/* batcher: prompts that come and go, answered beside each other by one session. A slot is a sequence of the
 * session, with the request that has it or with what the last one left there. Which beginning a request takes over
 * is decided when it gets its slot: the longest that any slot has, or will have when its prompt is read. The slot
 * that is given up for it is an empty one, else the one whose answer ended first.
 *
 * A request waits for another's prompt only where that spares it WORTH tokens, as a pass of few rows takes nearly as
 * long as one of many; and only for one that came before it, so none wait for each other. */
#include "infer/batcher.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum { WORTH = 16 };

struct request {
	int64_t ticket;
	struct batcher_request asked;  /* ids are its own */
	struct sampler wanted;
	bool cancelled;
};

struct slot {
	struct request *request;       /* NULL: idle */
	bool begun;
	bool over;                     /* its answer is complete, done is still to be called */
	/* Not begun: whose prompt it waits for, in which slot, until that has read so many tokens. */
	int64_t awaited_ticket;
	int awaited;
	size_t awaited_tokens;
	size_t fed;                    /* tokens of the prompt that are in the session */
	int64_t ended;                 /* the step in which its last answer ended, −1: it had none */
	int32_t next;                  /* the answer's newest token, to be fed */
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
	int n_parts;
};

struct batcher *batcher_new(struct session *s, const struct tokenizer *t, struct pool *pool)
{
	struct batcher *b = mem_alloc(sizeof(*b));

	*b = (struct batcher){ .s = s, .tokenizer = t, .pool = pool, .n_slots = session_sequences(s) };
	b->slots = mem_array((size_t)b->n_slots, sizeof(*b->slots));
	b->parts = mem_array((size_t)b->n_slots, sizeof(*b->parts));
	b->of_part = mem_array((size_t)b->n_slots, sizeof(struct slot *));
	for (int i = 0; i < b->n_slots; i++)
		b->slots[i].ended = -1;
	return b;
}

static void request_free(struct request *r)
{
	mem_free((void *)(uintptr_t)r->asked.ids);
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
	mem_free(b->slots);
	mem_free(b->parts);
	mem_free(b->of_part);
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
	slot->g.share = b->seconds > slot->since ? slot->seconds / (b->seconds - slot->since) : 1;
	slot->over = true;
}

static int say_done(struct request *r, struct generation *g, struct err *e)
{
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
	slot->begun = slot->over = false;
	slot->g = (struct generation){ 0 };
	slot->ended = b->steps;
	return say_done(r, &g, e);
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

static int end_cancelled(struct batcher *b, struct err *e)
{
	int status = 0;

	for (int i = 0; i < b->n_slots; i++) {
		struct slot *slot = &b->slots[i];
		if (!slot->request || !slot->request->cancelled || slot->over)
			continue;
		if (slot->begun)
			complete(b, slot);
		slot->over = true;
		slot->g.finish = FINISH_CANCELLED;
	}
	for (size_t i = 0; i < b->n_queue && !status;) {
		struct request **at = &b->queue[b->head + i], *r = *at;
		struct generation none = { .finish = FINISH_CANCELLED };
		if (!r->cancelled) {
			i++;
			continue;
		}
		memmove(at, at + 1, (--b->n_queue - i) * sizeof(struct request *));
		status = say_done(r, &none, e);
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

/* How many of a prompt's tokens, but the last, a slot's begin with. */
static size_t common(const struct batcher *b, int i, const struct request *r)
{
	const int32_t *ids;
	size_t n = tokens_of(b, i, &ids);

	return session_common(b->s, i, ids, n, r->asked.adapter, r->asked.ids, r->asked.n);
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

static void begin(struct batcher *b, struct slot *slot, const struct beginning *from)
{
	struct request *r = slot->request;
	int sequence = sequence_of(b, slot);

	if (from->slot == sequence) {
		slot->fed = (size_t)session_truncate(b->s, sequence, (int)from->tokens);
	} else {
		session_drop(b->s, sequence);
		slot->fed = from->tokens ? (size_t)session_branch(b->s, sequence, from->slot, (int)from->tokens) : 0;
	}
	session_use(b->s, sequence, r->asked.adapter);
	session_invoke(b->s, sequence, r->asked.ids, r->asked.n);
	if (!slot->sampler.logit)
		sampler_init(&slot->sampler, session_vocabulary(b->s));
	sampler_like(&slot->sampler, &r->wanted);
	sampler_see(&slot->sampler, r->asked.ids, r->asked.n);
	r->asked.generate.sampler = &slot->sampler;
	answer_begin(&slot->answer, b->tokenizer, &r->asked.generate, &slot->g);
	slot->g.kept = slot->fed;
	slot->begun = true;
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
		if (!best || best_is_from || (!is_from && slot->ended < best->ended))
			best = slot;
	}
	return best;
}

static void give_slots_out(struct batcher *b)
{
	struct beginning now, later;

	for (int i = 0; i < b->n_slots; i++) {
		struct slot *slot = &b->slots[i];
		if (!slot->request || slot->begun || slot->over || still_waits(b, slot))
			continue;
		find_beginnings(b, slot->request, &now, &later);
		begin_or_wait(b, slot, &now, &later);
	}
	while (b->n_queue) {
		struct request *r = b->queue[b->head];
		find_beginnings(b, r, &now, &later);
		struct slot *slot = choose_slot(b, &now);
		if (!slot)
			return;
		b->head++;
		b->n_queue--;
		slot->request = r;
		slot->fed = 0;
		begin_or_wait(b, slot, &now, &later);
	}
}

/* --- a step --- */

/* One part for each slot that has tokens to feed. */
static void make_parts(struct batcher *b)
{
	int room = session_rows(b->s);

	b->n_parts = 0;
	for (int i = 0; i < b->n_slots; i++)
		room -= b->slots[i].begun && b->slots[i].fed == b->slots[i].request->asked.n;
	for (int i = 0; i < b->n_slots; i++) {
		struct slot *slot = &b->slots[i];
		struct session_part part = { .sequence = i, .ids = &slot->next, .n = 1, .wanted = true };
		if (!slot->begun)
			continue;
		const struct batcher_request *r = &slot->request->asked;
		if (slot->fed < r->n) {
			part.ids = r->ids + slot->fed;
			part.n = MIN(room, (int)(r->n - slot->fed));
			room -= part.n;
			slot->fed += (size_t)part.n;
			part.wanted = slot->fed == r->n;
		}
		if (part.n == 0)
			continue;
		b->of_part[b->n_parts] = slot;
		b->parts[b->n_parts++] = part;
	}
}

static void draw(void *ctx, size_t item, int thread)
{
	struct batcher *b = ctx;
	(void)thread;
	if (b->parts[item].logits)
		b->of_part[item]->next = sampler_next(&b->of_part[item]->sampler, b->parts[item].logits);
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
}

/* What a step brought to one slot. */
static void take_token(struct batcher *b, struct slot *slot, const float *logits)
{
	int sequence = sequence_of(b, slot);
	bool full = session_length(b->s, sequence) == session_limit(b->s);

	b->new_tokens++;
	sampler_see(&slot->sampler, &slot->next, 1);
	if (answer_add(&slot->answer, slot->next, logits, full))
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
	make_parts(b);
	if (b->n_parts == 0)
		return 0;
	b->steps++;
	double began = clock_seconds();
	if (session_step(b->s, b->parts, b->n_parts, e) < 0)
		return -1;
	pool_run(b->pool, (size_t)b->n_parts, draw, b);
	distribute(b, clock_seconds() - began);
	for (int i = 0; i < b->n_parts; i++)
		if (b->parts[i].logits)
			take_token(b, b->of_part[i], b->parts[i].logits);
	return say_all_done(b, e);
}
