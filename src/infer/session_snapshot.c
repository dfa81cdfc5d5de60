/* session_snapshot: a sequence as a file.
 *
 *     a line      KUNGFU-SEQUENCE
 *     a line      an object: format, architecture and its sizes, types of the cache, arithmetic, tokens
 *     ids         int32 each, an adapter's virtual tokens first, as the only one beside the model has them
 *     ranges      in order, in each what every memory has of it: a byte, 1 or 0: nothing; then its pieces
 *     32 letters  the hash (XXH3-128) of all before them
 *
 * Numbers are as this machine has them. Whether model and adapter are those that it was written with is not asked of
 * their files: PROBE tokens (where a memory has states, the first range of them) are computed once more and their keys
 * and values compared, which proves what counts, and holds where only what comes after all keys is different (a head,
 * the last layer's MLP). A sequence of fewer tokens is computed again whole; virtual tokens are always, and are
 * compared as far as they stand in the range of the last token that is. */
#include "infer/session_parts.h"

#include <string.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "model/prepare.h"
#include "op/kv_cache.h"

enum { SNAPSHOT_FORMAT = 1, PROBE = 16, HASH = 32 };
#define MAGIC "KUNGFU-SEQUENCE\n"

static json_t *describe(const struct session *s, int sequence, int tokens)
{
	int lead = session_leading(s, sequence);
	const struct config *c = &s->model->config;
	const struct cache_types *t = &s->size.types;

	json_t *j = json_pack("{s:i, s:s, s:i, s:i, s:i, s:i, s:s, s:s, s:s, s:i}", "format", SNAPSHOT_FORMAT,
	                      "architecture", c->arch->name, "layers", c->n_layers, "heads", c->G, "head_size", c->D,
	                      "vocabulary", c->V, "cache_type_k", dtypes[t->k].name, "cache_type_v",
	                      dtypes[t->v].name, "compute", compute_name(s->model->compute), "tokens", tokens);

	if (lead)
		json_object_set_new(j, "virtual_tokens", json_integer(lead));
	return j;
}

/* Tokens of a sequence's i-th range. */
static int tokens_of(int length, int i) { return MIN(length - i * KV_RANGE, KV_RANGE); }

/* --- writing --- */

struct writing {
	struct io_writer file;
	struct hash_stream *hash;
	char *copy;                /* of a piece */
	size_t cap;
};

static int put(struct writing *w, const void *data, size_t n, struct err *e)
{
	hash_add(w->hash, data, n);
	return io_writer_add(&w->file, data, n, e);
}

static int put_range(struct writing *w, const struct memory *m, int range, int tokens, struct err *e)
{
	struct device *d = m->device;
	uint8_t has = m->place[range] >= 0;
	size_t bytes;
	const void *at;
	int status = put(w, &has, 1, e);

	for (size_t i = 0; status == 0 && (at = m->type->piece(m, range, tokens, i, &bytes)); i++) {
		if (bytes > w->cap)
			w->copy = mem_grow(w->copy, w->cap = bytes, 1);
		d->type->pull(d, w->copy, at, bytes);
		status = put(w, w->copy, bytes, e);
	}
	return status;
}

/* From which of its tokens on an adapter was invoked that acts on some, −1: none was. */
static int acts_from(const struct session *s, int sequence)
{
	return s->adapter[sequence] >= 0 && s->invoked[sequence] < session_length(s, sequence) ? s->invoked[sequence] :
	                                                                                         -1;
}

static int put_all(struct writing *w, const struct session *s, int sequence, struct err *e)
{
	int n = s->sequences.length[sequence];
	json_t *j = describe(s, sequence, n);
	if (s->invocations)
		json_object_set_new(j, "invoked", json_integer(acts_from(s, sequence)));
	char *line = jsonx_line(j), *head = mem_printf("%s%s\n", MAGIC, line), hex[HASH + 1];

	w->hash = hash_begin();
	int status = put(w, head, strlen(head), e);
	for (int i = 0; i < n && i < session_leading(s, sequence) && status == 0; i++)
		status = put(w, &(int32_t){ s->model->config.V + i }, sizeof(int32_t), e);
	if (status == 0)
		status = put(w, session_ids(s, sequence), (size_t)session_length(s, sequence) * sizeof(int32_t), e);
	for (int i = 0; i * KV_RANGE < n; i++)
		for (int k = 0; k < s->sequences.n_memories && status == 0; k++)
			status = put_range(w, &s->memories[k], sequence_range(&s->sequences, sequence, i),
			                   tokens_of(n, i), e);
	hash_end(w->hash, hex);
	if (status == 0)
		status = io_writer_add(&w->file, hex, HASH, e);
	mem_free(line);
	mem_free(head);
	json_decref(j);
	return status;
}

int session_save(const struct session *s, int sequence, const char *path, struct err *e)
{
	struct writing w = { 0 };

	if (io_writer_open_private(&w.file, path, e) < 0) /* somebody's texts */
		return -1;
	int status = put_all(&w, s, sequence, e);
	status = io_writer_end(&w.file, status, e);
	mem_free(w.copy);
	return status;
}

/* --- reading --- */

struct reading {
	struct cursor c;           /* what follows the head, without the hash */
	int tokens, first;         /* of all; that are computed again */
	int invoked;               /* from which of its own on an adapter acts: computed again too; −1: none */
	int begin;                 /* of the range where the last of those is */
	int32_t *ids;
	char *probe[MEMORIES];     /* what was computed of the first tokens */
};

/* The object of the second line; new reference. */
static json_t *read_head(const struct mapping *m, size_t *end, struct err *e)
{
	size_t magic = strlen(MAGIC);
	const char *text = (const char *)m->data;

	if (m->size < magic || memcmp(text, MAGIC, magic)) {
		err_set(e, "no sequence that session_save wrote");
		return NULL;
	}
	const char *newline = memchr(text + magic, '\n', m->size - magic);
	char hex[HASH + 1];
	hash_hex(text, m->size < HASH ? 0 : m->size - HASH, hex);
	if (!newline || m->size - (size_t)(newline - text) < HASH + 1 || memcmp(text + m->size - HASH, hex, HASH)) {
		err_set(e, "damaged: its bytes do not have the hash that they were written with");
		return NULL;
	}
	*end = (size_t)(newline + 1 - text);
	return jsonx_load(text + magic, (size_t)(newline - text) - magic, "its second line", e);
}

/* Everything but the number of tokens is as this session would write it. */
static int compare_head(const struct session *s, int sequence, const json_t *head, int *tokens, int *invoked,
                        struct err *e)
{
	json_t *mine = describe(s, sequence, 0);
	const char *key;
	json_t *value;
	int status = 0;

	*tokens = (int)json_integer_value(json_object_get(head, "tokens"));
	json_object_foreach(mine, key, value) {
		const json_t *other = json_object_get(head, key);
		if (status || !strcmp(key, "tokens") || json_equal(other, value))
			continue;
		char *was = other ? jsonx_line(other) : mem_strdup("none"), *now = jsonx_line(value);
		status = err_set(e, "%s is %.60s, this session has %.60s", key, was, now);
		mem_free(was);
		mem_free(now);
	}
	json_decref(mine);
	const json_t *from = json_object_get(head, "invoked");
	*invoked = from ? (int)json_integer_value(from) : -1;
	if (status == 0 && *invoked >= 0 && !s->invocations)
		status = err_set(e, "it has tokens of an adapter that was invoked, this session has no such adapter");
	int virtual = (int)json_integer_value(json_object_get(head, "virtual_tokens")),
	    lead = session_leading(s, sequence);
	if (status == 0 && virtual != lead)
		status = err_set(e, "virtual_tokens is %d, this session has %d", virtual, lead);
	if (status == 0 && (*tokens < 0 || *tokens > s->sequences.n_ctx))
		status = err_set(e, "it has %d tokens, the context holds %d", *tokens, s->sequences.n_ctx);
	return status;
}

static int read_ids(const struct session *s, int sequence, struct reading *r, struct err *e)
{
	int lead = session_leading(s, sequence);
	size_t bytes = (size_t)r->tokens * sizeof(*r->ids);
	const void *from = cursor_bytes(&r->c, bytes);

	if (r->c.failed)
		return err_set(e, "it ends among its tokens");
	if (bytes)
		memcpy(r->ids, from, bytes);
	for (int i = 0; i < r->tokens; i++)
		if (i < lead ? r->ids[i] != s->model->config.V + i
		             : r->ids[i] < 0 || r->ids[i] >= s->model->config.V)
			return err_set(e, "token %d is %d, the model has 0 to %d", i, r->ids[i],
			               s->model->config.V - 1);
	return 0;
}

/* The first n tokens of a range, one piece after the other; NULL only counts. */
static size_t pull_probe(const struct memory *m, int range, int n, char *out)
{
	size_t sum = 0, bytes;
	const void *at;

	for (size_t i = 0; (at = m->type->piece(m, range, n, i, &bytes)); i++, sum += bytes)
		if (out)
			m->device->type->pull(m->device, out + sum, at, bytes);
	return sum;
}

/* Whether the first tokens as they were read are those that were computed, where the file has them. */
static bool is_same(const struct memory *m, int range, int tokens, const char *computed)
{
	size_t n = pull_probe(m, range, tokens, NULL);
	char *got = mem_array(n, 1);

	pull_probe(m, range, tokens, got);
	bool same = n == 0 || !memcmp(got, computed, n);
	mem_free(got);
	return same;
}

/* Past what there is of a range that is not read: it was computed, and others may have it too. */
static int pass_range(const struct memory *m, struct reading *r, int range, int tokens, struct err *e)
{
	size_t bytes;

	if (cursor_u8(&r->c))
		for (size_t i = 0; m->type->piece(m, range, tokens, i, &bytes); i++)
			cursor_bytes(&r->c, bytes);
	return r->c.failed ? err_set(e, "it ends among its keys and values") : 0;
}

static int read_range(struct memory *m, struct reading *r, int range, int tokens, struct err *e)
{
	struct device *d = m->device;
	size_t bytes;
	void *to;

	if (!cursor_u8(&r->c))
		m->type->drop(m, range);
	for (size_t i = 0; (to = m->type->piece(m, range, tokens, i, &bytes)); i++) {
		const void *from = cursor_bytes(&r->c, bytes);
		if (!from)
			return err_set(e, "it ends among its keys and values");
		d->type->push(d, to, from, bytes);
	}
	return 0;
}

/* The sequence has its first tokens computed, and room for the others. */
static int read_ranges(struct session *s, int sequence, struct reading *r, struct err *e)
{
	struct sequences *q = &s->sequences;

	for (int i = 0; i * KV_RANGE < r->tokens; i++)
		for (int k = 0; k < q->n_memories; k++) {
			int range = sequence_range(q, sequence, i), tokens = tokens_of(r->tokens, i);
			struct memory *m = &q->memories[k];
			bool computed = (i + 1) * KV_RANGE <= r->begin;
			if ((computed ? pass_range(m, r, range, tokens, e) : read_range(m, r, range, tokens, e)) < 0)
				return -1;
			if (i * KV_RANGE == r->begin && !is_same(m, range, r->first - r->begin, r->probe[k]))
				return err_set(e, "what it has of its first %d tokens is not what this model and "
				                  "adapter compute of them: it was written with others",
				               r->first);
		}
	if (cursor_left(&r->c))
		return err_set(e, "it has %zu bytes too many", cursor_left(&r->c));
	sequence_append(q, sequence, r->ids + r->first, r->tokens - r->first);
	return 0;
}

static int fill(struct session *s, int sequence, struct reading *r, struct err *e)
{
	struct sequences *q = &s->sequences;
	int lead = session_leading(s, sequence);
	const float *unused;

	r->first = MIN(r->tokens, ROUND_UP(lead, PROBE) + PROBE); /* keys lie in panels of so many */
	for (int k = 0; k < q->n_memories; k++)
		if (q->memories[k].type->states)
			r->first = MIN(r->tokens, ROUND_UP(lead + 1, KV_RANGE));
	if (r->first > lead && session_put(s, sequence, r->ids + lead, (size_t)(r->first - lead), &unused, e) < 0)
		return -1;
	if (r->tokens == r->first)
		return 0;
	r->begin = (r->first - 1) / KV_RANGE * KV_RANGE;
	int range = sequence_range(q, sequence, r->begin / KV_RANGE);
	for (int k = 0; k < q->n_memories; k++) {
		r->probe[k] = mem_array(pull_probe(&q->memories[k], range, r->first - r->begin, NULL), 1);
		pull_probe(&q->memories[k], range, r->first - r->begin, r->probe[k]);
	}
	sequence_reserve(q, sequence, r->tokens - r->first);
	int status = read_ranges(s, sequence, r, e);
	for (int k = 0; k < q->n_memories; k++)
		mem_free(r->probe[k]);
	return status;
}

/* What an adapter was invoked for may have been by another one: that is computed by this session's. */
static int invoke_again(struct session *s, int sequence, const struct reading *r, struct err *e)
{
	int kept = session_truncate(s, sequence, MIN(r->invoked, session_length(s, sequence)));
	int lead = session_leading(s, sequence), rest = r->tokens - lead - kept;
	const float *unused;

	s->invoked[sequence] = r->invoked;
	return rest > 0 ? session_put(s, sequence, r->ids + lead + kept, (size_t)rest, &unused, e) : 0;
}

static int load(struct session *s, int sequence, const struct mapping *file, struct err *e)
{
	struct reading r = { 0 };
	size_t at;
	json_t *head = read_head(file, &at, e);
	int status = head ? compare_head(s, sequence, head, &r.tokens, &r.invoked, e) : -1;

	json_decref(head);
	if (status < 0)
		return -1;
	r.c = cursor_make(file->data + at, file->size - HASH - at);
	r.ids = mem_array((size_t)r.tokens, sizeof(*r.ids));
	status = read_ids(s, sequence, &r, e);
	if (r.invoked >= 0 && status == 0)
		s->invoked[sequence] = r.invoked;
	if (status == 0)
		status = fill(s, sequence, &r, e);
	if (status == 0 && r.invoked >= 0)
		status = invoke_again(s, sequence, &r, e);
	mem_free(r.ids);
	return status;
}

int session_load(struct session *s, int sequence, const char *path, struct err *e)
{
	struct mapping file;

	if (session_length(s, sequence))
		BUG("sequence %d has %d tokens, none were wanted", sequence, session_length(s, sequence));
	if (io_map(&file, path, e) < 0)
		return -1;
	int status = load(s, sequence, &file, e);
	io_unmap(&file);
	if (status < 0) {
		session_drop(s, sequence);
		return err_prefix(e, "%s", path);
	}
	return 0;
}
