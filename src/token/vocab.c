/* vocab: pieces in an arena, an open hash over their texts. */
#include "token/vocab.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "token/alphabet.h"

enum { ID_MAX = 1 << 24, HOLES_MAX = 1 << 16 };

static size_t slot_of(const struct vocab *v, const char *text, size_t n)
{
	size_t at = hash_64(text, n) & (v->n_slots - 1);
	while (v->slot[at]) {
		const struct piece *p = &v->piece[v->slot[at] - 1];
		if (p->n == n && memcmp(p->text, text, n) == 0)
			break;
		at = (at + 1) & (v->n_slots - 1);
	}
	return at;
}

int32_t vocab_find_any(const struct vocab *v, const char *text, size_t n)
{
	return v->n_slots && n ? (int32_t)v->slot[slot_of(v, text, n)] - 1 : -1;
}

int32_t vocab_find(const struct vocab *v, const char *text, size_t n)
{
	int32_t id = vocab_find_any(v, text, n);
	return id >= 0 && v->piece[id].flags & PIECE_MODEL ? id : -1;
}

int32_t vocab_find_bytes(const struct vocab *v, const char *bytes, size_t n)
{
	struct buf text = BUF_INIT;

	alphabet_write(&text, bytes, n);
	int32_t id = vocab_find(v, buf_str(&text), text.len);
	buf_release(&text);
	return id;
}

static void grow_slots(struct vocab *v)
{
	if ((v->count + 1) * 2 <= v->n_slots)
		return;
	mem_free(v->slot);
	v->n_slots = v->n_slots ? v->n_slots * 2 : 1024;
	v->slot = mem_array(v->n_slots, sizeof(*v->slot));
	for (size_t i = 0; i < v->n; i++)
		if (v->piece[i].text && v->piece[i].n)
			v->slot[slot_of(v, v->piece[i].text, v->piece[i].n)] = (uint32_t)i + 1;
}

static void grow_pieces(struct vocab *v, size_t n)
{
	if (n > v->cap) {
		size_t cap = MAX(v->cap * 2, MAX(n, (size_t)1024));
		struct piece *piece = mem_array(cap, sizeof(*piece)); /* zero pages: a lone high id costs none */
		if (v->n)
			memcpy(piece, v->piece, v->n * sizeof(*piece));
		mem_free(v->piece);
		v->piece = piece;
		v->cap = cap;
	}
	v->n = MAX(v->n, n);
}

int vocab_put(struct vocab *v, const char *text, size_t n, long long id, int flags, struct err *e)
{
	int32_t other = vocab_find_any(v, text, n);
	if (id < 0 || id >= ID_MAX)
		return err_set(e, "token \"%.*s\" has the id %lld, wanted 0 to %d", (int)MIN(n, (size_t)64), text, id,
		               ID_MAX - 1);
	if (n >= UINT32_MAX)
		return err_set(e, "the token with id %lld is %zu bytes long", id, n);
	if (other >= 0)
		return err_set(e, "token \"%.*s\" is there twice, with ids %d and %lld", (int)MIN(n, (size_t)64), text,
		               other, id);
	if ((size_t)id < v->n && v->piece[id].text)
		return err_set(e, "id %lld belongs to two tokens, \"%.64s\" and \"%.*s\"", id, v->piece[id].text,
		               (int)MIN(n, (size_t)64), text);
	grow_slots(v);
	grow_pieces(v, (size_t)id + 1);
	v->piece[id] = (struct piece){ arena_strndup(&v->mem, text, n), (uint32_t)n, 0, (uint8_t)flags };
	v->count++;
	if (n)
		v->slot[slot_of(v, text, n)] = (uint32_t)id + 1;
	return 0;
}

int vocab_check_sparse(const struct vocab *v, struct err *e)
{
	if (v->count == 0)
		return err_set(e, "the vocabulary is empty");
	if (v->n - v->count > v->count + HOLES_MAX)
		return err_set(e, "%zu tokens have ids up to %zu: that many holes are no vocabulary", v->count,
		               v->n - 1);
	return 0;
}

int vocab_read(struct vocab *v, const json_t *texts, struct err *e)
{
	const char *text;
	json_t *id;
	if (!json_is_object(texts))
		return err_set(e, "the vocabulary is no object of texts and ids");
	json_object_foreach((json_t *)texts, text, id) {
		if (!json_is_integer(id))
			return err_set(e, "token \"%.64s\" has no integer as its id", text);
		if (vocab_put(v, text, strlen(text), json_integer_value(id), PIECE_MODEL, e))
			return -1;
	}
	return vocab_check_sparse(v, e);
}

json_t *vocab_json(const struct vocab *v)
{
	json_t *texts = json_object();
	for (size_t i = 0; i < v->n; i++)
		if (v->piece[i].text && v->piece[i].flags & PIECE_MODEL)
			json_object_set_new(texts, v->piece[i].text, json_integer((json_int_t)i));
	return texts;
}

json_t *piece_json(const struct piece *p)
{
	json_t *text = json_stringn(p->text, p->n);
	if (!text)
		BUG("a piece that is not UTF-8");
	return text;
}

void vocab_release(struct vocab *v)
{
	arena_release(&v->mem);
	mem_free(v->piece);
	mem_free(v->slot);
	*v = (struct vocab){ 0 };
}
