/* many: see many.h. Sequence 0 holds what all prompts begin with, at most all but a prompt's last token, so that each
 * has something to feed. A step takes one token of every answer that grows and fills up with tokens of the prompts that
 * are read. */
#include "infer/many.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

struct slot {
	bool used;
	size_t prompt, fed;            /* tokens of the prompt that are in the session */
	int32_t next;                  /* the answer's newest token, to be fed */
	struct live work;
	double seconds, since;         /* its part of the steps' time, by rows; the time of all steps before it began */
	struct sampler sampler;
	struct answer answer;
	struct generation g;
};

struct many {
	struct session *s;
	const struct tokenizer *tokenizer;
	struct pool *pool;
	const struct many_prompt *prompts;
	size_t n, next, shared, tokens;
	struct many_options *o;
	double seconds;                /* of all steps */
	struct slot *slots;
	size_t n_slots;
	struct session_part *parts;    /* [n_slots] of this step */
	struct slot **of_part;
	int n_parts;
};

size_t many_shared(const struct many_prompt *prompts, size_t n)
{
	size_t same = prompts[0].n - 1;

	for (size_t i = 1; i < n; i++) {
		same = prompts[i].adapter == prompts[0].adapter ? MIN(same, prompts[i].n - 1) : 0;
		for (size_t j = 0; j < same; j++)
			if (prompts[i].ids[j] != prompts[0].ids[j])
				same = j;
	}
	return same;
}

int many_session(struct session **s, struct model *m, const struct overlay *overlay, struct pool *pool,
                 const struct kernels *k, const struct many_prompt *prompts, size_t n, const struct many_options *o,
                 struct err *e)
{
	size_t limit = (size_t)m->config.n_ctx, longest = 0;

	for (size_t i = 0; i < n; i++) {
		if (prompts[i].n >= limit)
			return err_set(e,
			               "prompt %zu has %zu tokens, the model's context holds %zu: there is no room for "
			               "an answer",
			               i + 1, prompts[i].n, limit);
		longest = MAX(longest, prompts[i].n);
	}
	size_t n_ctx = MIN(limit, longest + o->generate.max_new_tokens);
	struct session_size size = { .n_ctx = (int)n_ctx,
		                     .n_sequences = (int)MIN(n, o->at_once) + 1,
		                     .cache = o->cache };
	return session_new(s, m, overlay, pool, k, &size, e);
}

static int sequence_of(const struct many *m, const struct slot *slot) { return (int)(slot - m->slots) + 1; }

static void take_prompt(struct many *m, struct slot *slot)
{
	const struct many_prompt *p = &m->prompts[m->next];

	slot->used = true;
	slot->prompt = m->next++;
	slot->fed = m->shared;
	slot->sampler.stream = p->stream;
	slot->sampler.index = 0;
	sampler_forget(&slot->sampler);
	sampler_see(&slot->sampler, p->ids, p->n);
	session_branch(m->s, sequence_of(m, slot), 0, (int)m->shared);
	session_use(m->s, sequence_of(m, slot), p->adapter);
	answer_begin(&slot->answer, m->tokenizer, &m->o->generate, &slot->g);
	slot->work = (struct live){ 0 };
	slot->seconds = 0;
	slot->since = m->seconds;
	if (m->o->begun)
		m->o->begun(m->o->ctx, slot->prompt);
}

/* One part for each slot that has tokens to feed, in the order of their sequences. */
static void make_parts(struct many *m)
{
	int room = session_rows(m->s);

	m->n_parts = 0;
	for (size_t i = 0; i < m->n_slots; i++)
		room -= m->slots[i].used && m->slots[i].fed == m->prompts[m->slots[i].prompt].n;
	for (size_t i = 0; i < m->n_slots; i++) {
		struct slot *slot = &m->slots[i];
		const struct many_prompt *p = &m->prompts[slot->prompt];
		struct session_part part = {
			.sequence = sequence_of(m, slot), .ids = &slot->next, .n = 1, .wanted = true
		};
		if (!slot->used)
			continue;
		if (slot->fed < p->n) {
			part.ids = p->ids + slot->fed;
			part.n = MIN(room, (int)(p->n - slot->fed));
			room -= part.n;
			slot->fed += (size_t)part.n;
			part.wanted = slot->fed == p->n;
		}
		if (part.n == 0)
			continue;
		m->of_part[m->n_parts] = slot;
		m->parts[m->n_parts++] = part;
	}
}

static void draw(void *ctx, size_t item, int thread)
{
	struct many *m = ctx;
	(void)thread;
	if (m->parts[item].logits)
		m->of_part[item]->next = sampler_next(&m->of_part[item]->sampler, m->parts[item].logits);
}

/* What a step brought to one slot. */
static int take_token(struct many *m, struct slot *slot, const float *logits, struct err *e)
{
	int sequence = sequence_of(m, slot), status;
	bool full = session_length(m->s, sequence) == session_limit(m->s);

	m->tokens++;
	sampler_see(&slot->sampler, &slot->next, 1);
	if (!answer_add(&slot->answer, slot->next, logits, full))
		return 0;
	answer_end(&slot->answer);
	session_operations(m->s, &slot->work, &slot->g.flops, &slot->g.int_ops);
	slot->g.share = m->seconds > slot->since ? slot->seconds / (m->seconds - slot->since) : 1;
	session_drop(m->s, sequence);
	slot->used = false;
	status = m->o->done(m->o->ctx, slot->prompt, &slot->g, e);
	generation_release(&slot->g);
	return status;
}

/* A step's time and work, to those that were in it: time by their rows. */
static void distribute(struct many *m, double seconds)
{
	double rows = 0;

	for (int i = 0; i < m->n_parts; i++)
		rows += m->parts[i].work.rows;
	for (int i = 0; i < m->n_parts; i++) {
		live_add(&m->of_part[i]->work, &m->parts[i].work, 1);
		m->of_part[i]->seconds += seconds * m->parts[i].work.rows / rows;
	}
	m->seconds += seconds;
}

static int step(struct many *m, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < m->n_slots && m->next < m->n; i++)
		if (!m->slots[i].used)
			take_prompt(m, &m->slots[i]);
	make_parts(m);
	double began = clock_seconds();
	if (session_step(m->s, m->parts, m->n_parts, e) < 0)
		return -1;
	pool_run(m->pool, (size_t)m->n_parts, draw, m);
	distribute(m, clock_seconds() - began);
	for (int i = 0; i < m->n_parts && !status; i++)
		if (m->parts[i].logits)
			status = take_token(m, m->of_part[i], m->parts[i].logits, e);
	if (!status && m->o->progress)
		status = m->o->progress(m->o->ctx, m->tokens);
	return status;
}

static bool is_busy(const struct many *m)
{
	for (size_t i = 0; i < m->n_slots; i++)
		if (m->slots[i].used)
			return true;
	return m->next < m->n;
}

static void begin(struct many *m)
{
	const struct sampler *pattern = m->o->generate.sampler;

	m->n_slots = MIN(m->n, m->o->at_once);
	m->slots = mem_array(m->n_slots, sizeof(*m->slots));
	m->parts = mem_array(m->n_slots, sizeof(*m->parts));
	m->of_part = mem_array(m->n_slots, sizeof(*m->of_part));
	for (size_t i = 0; i < m->n_slots; i++) {
		m->slots[i].sampler = *pattern;
		m->slots[i].sampler.seen = NULL;
		m->slots[i].sampler.n_seen = m->slots[i].sampler.cap_seen = 0;
		sampler_init(&m->slots[i].sampler, pattern->V);
	}
}

static void end(struct many *m)
{
	for (size_t i = 0; i < m->n_slots; i++) {
		struct slot *slot = &m->slots[i];
		if (slot->used) {
			answer_end(&slot->answer);
			generation_release(&slot->g);
			session_drop(m->s, sequence_of(m, slot));
		}
		sampler_release(&slot->sampler);
	}
	session_drop(m->s, 0);
	mem_free(m->slots);
	mem_free(m->parts);
	mem_free(m->of_part);
}

int many_run(struct session *s, const struct tokenizer *t, struct pool *pool, const struct many_prompt *prompts,
             size_t n, struct many_options *o, struct err *e)
{
	struct many m = { .s = s, .tokenizer = t, .pool = pool, .prompts = prompts, .n = n, .o = o };
	struct live work, before = session_work(s);
	const float *unused;
	int status = 0;

	if (n == 0)
		return 0;
	if (o->generate.emit || o->generate.token)
		BUG("answers beside each other are not shown while they grow");
	begin(&m);
	m.shared = many_shared(prompts, n);
	session_use(s, 0, prompts[0].adapter);
	if (m.shared)
		status = session_feed(s, 0, prompts[0].ids, m.shared, &unused, e);
	work = session_work(s);
	live_add(&work, &before, -1);
	session_operations(s, &work, &o->shared_flops, &o->shared_int_ops);
	while (!status && is_busy(&m))
		status = step(&m, e);
	end(&m);
	return status;
}
