/* generate: see generate.h.
 *
 * Bytes wait in `raw` until they are certain. Of a new end of it, the longest part that begins a stop string is held back, and what is no whole
 * character yet; at the end everything is given out. */
#include "infer/generate.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

const char *finish_name(enum finish f)
{
	static const char *const names[] = { "stop", "length", "cancelled" };
	return names[f];
}

/* --- tokens that end an answer --- */

static bool has(const struct tokens *list, int32_t id)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->id[i] == id)
			return true;
	return false;
}

static void add_end(const struct model *m, struct tokens *out, int64_t id)
{
	if (id >= 0 && id < m->config.V && !has(out, (int32_t)id))
		tokens_add(out, (int32_t)id);
}

static void add_json_ends(const struct model *m, struct tokens *out, const json_t *config)
{
	const json_t *v = json_object_get(config, "eos_token_id");
	if (json_is_integer(v))
		add_end(m, out, json_integer_value(v));
	for (size_t i = 0; i < json_array_size(v); i++)
		if (json_is_integer(json_array_get(v, i)))
			add_end(m, out, json_integer_value(json_array_get(v, i)));
}

void generate_ends(const struct model *m, struct tokens *out)
{
	static const char *const keys[] = { "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id" };
	add_end(m, out, tokenizer_eos(m->tokenizer));
	add_json_ends(m, out, m->source.config);
	add_json_ends(m, out, m->source.generation_config);
	for (size_t i = 0; m->source.is_gguf && i < ARRAY_LEN(keys); i++) {
		struct err ignored = ERR_INIT; /* a value of another type is no id */
		int64_t id = -1;
		if (gguf_int(&m->source.gguf, keys[i], false, -1, &id, &ignored) == 0)
			add_end(m, out, id);
	}
}

/* --- text that grows --- */

struct stream {
	const struct generate_options *o;
	struct generation *g;
	struct buf raw;
	size_t sent;      /* bytes of raw that were given out */
	bool cancelled;
};

/* The first place at or after `from` where a stop string stands; SIZE_MAX: none. */
static size_t find_stop(const struct stream *s, size_t from)
{
	size_t found = SIZE_MAX;
	for (size_t i = 0; i < s->o->n_stop; i++) {
		size_t n = strlen(s->o->stop[i]);
		const char *at = n && from < s->raw.len ? memmem(s->raw.data + from, s->raw.len - from, s->o->stop[i], n) : NULL;
		if (at)
			found = MIN(found, (size_t)(at - s->raw.data));
	}
	return found;
}

/* Bytes at the end of raw that may be the beginning of a stop string. */
static size_t held_back(const struct stream *s)
{
	size_t most = 0;
	for (size_t i = 0; i < s->o->n_stop; i++) {
		size_t n = strlen(s->o->stop[i]);
		for (size_t len = MIN(n ? n - 1 : 0, s->raw.len - s->sent); len > most; len--)
			if (!memcmp(s->raw.data + s->raw.len - len, s->o->stop[i], len))
				most = len;
	}
	return most;
}

static void give_out(struct stream *s, size_t end)
{
	size_t before = s->g->text.len;
	if (end <= s->sent)
		return;
	utf8_repair(&s->g->text, s->raw.data + s->sent, end - s->sent);
	s->sent = end;
	if (s->o->emit && s->o->emit(s->o->ctx, s->g->text.data + before, s->g->text.len - before))
		s->cancelled = true;
}

/* Takes a token's bytes; true when a stop string came, whose bytes are gone then. */
static bool stream_add(struct stream *s, const struct tokenizer *t, int32_t id)
{
	tokenizer_decode(t, &id, 1, true, &s->raw);
	size_t stop = find_stop(s, s->sent);
	if (stop != SIZE_MAX) {
		s->raw.len = stop;
		return true;
	}
	size_t certain = s->raw.len - held_back(s);
	give_out(s, s->sent + (certain > s->sent ? utf8_complete(s->raw.data + s->sent, certain - s->sent) : 0));
	return false;
}

/* --- the answer --- */

/* Whether the answer ends with this token, and how. */
static bool ends(struct stream *s, const struct session *session, const struct tokenizer *t, int32_t id)
{
	struct generation *g = s->g;

	tokens_add(&g->ids, id);
	g->finish = FINISH_STOP;
	if (has(&s->o->end, id) || stream_add(s, t, id))
		return true;
	g->context_full = session_length(session) == session_limit(session);
	g->finish = s->cancelled ? FINISH_CANCELLED : FINISH_LENGTH;
	return s->cancelled || g->context_full || g->ids.n >= s->o->max_new_tokens;
}

int generate(struct session *s, const struct tokenizer *t, const int32_t *ids, size_t n, const struct generate_options *o, struct generation *g, struct err *e)
{
	struct stream stream = { .o = o, .g = g };
	const float *logits;
	double began = clock_seconds();

	*g = (struct generation){ 0 };
	int status = session_feed(s, ids, n, &logits, e);
	double first = clock_seconds();
	while (status == 0) {
		int32_t id = sampler_next(o->sampler, logits);
		if (ends(&stream, s, t, id))
			break;
		status = session_feed(s, &id, 1, &logits, e);
	}
	give_out(&stream, stream.raw.len);
	g->prompt_seconds = first - began;
	g->seconds = clock_seconds() - first;
	buf_release(&stream.raw);
	return status;
}

double generation_rate(const struct generation *g)
{
	return g->ids.n > 1 && g->seconds > 0 ? (double)(g->ids.n - 1) / g->seconds : NAN;
}

void generation_release(struct generation *g)
{
	tokens_release(&g->ids);
	buf_release(&g->text);
}
