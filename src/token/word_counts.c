/* word_counts: tables of words, one a thread, and sorted parts in files where memory does not hold them.
 *
 * The caller's texts are gathered into a batch of some megabytes, cut into pieces, and the pool's threads count
 * pieces, each into its own table: open addressing over entries, the bytes of the words in blocks that never move. Sums
 * of whole numbers do not depend on who added them, and the result is sorted, so nothing shows who counted what.
 *
 * A part in a file is: for each word its count (u64), its length (u32) and its bytes, sorted by bytes. Files are mapped
 * for joining and their pages given back as they are read. They lie in a folder of their own that is removed at the
 * end; what a killed process leaves is a folder kungfu-words-XXXXXX in the scratch folder. */
#include "token/word_counts.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/human.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/utf8.h"
#include "token/pretokenize.h"

enum {
	PIECE = 64 << 10,          /* bytes that a thread takes at once */
	LONG_TEXT = 1 << 20,       /* a text is cut from here on */
	BATCH = 4 << 20,           /* bytes that are gathered for a thread, about */
	PARTS = 4096,
	HEAD = 12,                 /* bytes before a word in a part */
};

struct word {
	const char *text;
	uint64_t count;
	uint32_t n, hash;
};

struct table {
	struct word *word;         /* [n] */
	size_t n, cap;
	uint32_t *slot;            /* place + 1 */
	size_t n_slots;            /* a power of two */
	struct arena mem;
	uint64_t words;            /* counted */
	/* of the thread */
	struct words *cut;
	struct altered altered;
	struct err err;
	bool failed;
};

struct piece { size_t begin, end; };

struct word_counter {
	const struct token_training *t;
	struct normalizer normalizer;
	struct pretokenizer *pretokenizer;
	struct table *table;       /* [threads] */
	struct table *raw;         /* [threads] what stands between spaces, not normalized yet; NULL: see by_spaces */
	int threads;
	size_t most, most_batch;   /* bytes of all tables, of a batch */
	char *batch;
	size_t n_batch, cap_batch;
	struct piece *piece;
	size_t n_pieces, cap_pieces;
	char *folder;              /* of the parts; NULL: none yet */
	size_t n_parts;
	uint64_t spilled;
};

void word_counts_release(struct word_counts *w)
{
	mem_free(w->text);
	mem_free(w->begin);
	mem_free(w->count);
	*w = (struct word_counts){ 0 };
}

/* --- a table --- */

static size_t table_bytes(const struct table *t)
{
	return t->mem.held + t->cap * sizeof(*t->word) + t->n_slots * sizeof(*t->slot);
}

static void table_grow_slots(struct table *t)
{
	mem_free(t->slot);
	t->n_slots = t->n_slots ? 2 * t->n_slots : 1024;
	t->slot = mem_array(t->n_slots, sizeof(*t->slot));
	for (size_t i = 0; i < t->n; i++) {
		size_t at = t->word[i].hash & (t->n_slots - 1);
		while (t->slot[at])
			at = (at + 1) & (t->n_slots - 1);
		t->slot[at] = (uint32_t)i + 1;
	}
}

static void table_add(struct table *t, const char *text, size_t n, uint64_t count)
{
	uint32_t hash = (uint32_t)hash_64(text, n);

	if (2 * t->n >= t->n_slots)
		table_grow_slots(t);
	size_t at = hash & (t->n_slots - 1);
	for (; t->slot[at]; at = (at + 1) & (t->n_slots - 1)) {
		struct word *w = &t->word[t->slot[at] - 1];
		if (w->hash == hash && w->n == n && !memcmp(w->text, text, n)) {
			w->count += count;
			return;
		}
	}
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 512;
		t->word = mem_grow(t->word, t->cap, sizeof(*t->word));
	}
	char *own = arena_alloc(&t->mem, n);
	memcpy(own, text, n);
	t->slot[at] = (uint32_t)t->n + 1;
	t->word[t->n++] = (struct word){ own, count, (uint32_t)n, hash };
}

static void table_clear(struct table *t)
{
	mem_free(t->word);
	mem_free(t->slot);
	arena_release(&t->mem);
	t->word = NULL;
	t->slot = NULL;
	t->n = t->cap = t->n_slots = 0;
}

static int by_bytes(const void *a, const void *b)
{
	const struct word *x = a, *y = b;
	int c = memcmp(x->text, y->text, MIN(x->n, y->n));
	return c ? c : (x->n > y->n) - (x->n < y->n);
}

/* The table's slots are wrong from here on. */
static void table_sort(struct table *t)
{
	if (t->n)
		qsort(t->word, t->n, sizeof(*t->word), by_bytes);
}

/* --- texts into tables --- */

static bool is_letter_or_mark(unsigned char x) { return x > ' ' && x < 0x7f; }

struct word_counter *word_counter_new(const struct token_training *t, const json_t *normalizer,
                                      const json_t *pre_tokenizer, struct err *e)
{
	struct word_counter *c = mem_alloc(sizeof(*c));

	c->t = t;
	c->threads = t->pool ? pool_threads(t->pool) : 1;
	c->table = mem_array((size_t)c->threads, sizeof(*c->table));
	/* the other half is what they become in the end */
	c->most = token_train_memory(t) / 2;
	c->most_batch = MIN(BATCH * (size_t)c->threads, c->most / 8);
	if (normalizer_parse(&c->normalizer, normalizer, e) ||
	    !(c->pretokenizer = pretokenizer_parse(pre_tokenizer, e))) {
		word_counter_free(c);
		return NULL;
	}
	return c;
}

void word_counter_by_spaces(struct word_counter *c) { c->raw = mem_array((size_t)c->threads, sizeof(*c->raw)); }

void word_counter_free(struct word_counter *c)
{
	if (!c)
		return;
	for (int i = 0; i < c->threads; i++) {
		table_clear(&c->table[i]);
		if (c->raw)
			table_clear(&c->raw[i]);
		words_free(c->table[i].cut);
		altered_release(&c->table[i].altered);
	}
	if (c->folder)
		io_remove_tree(c->folder, NULL);
	normalizer_release(&c->normalizer);
	pretokenizer_free(c->pretokenizer);
	mem_free(c->table);
	mem_free(c->raw);
	mem_free(c->batch);
	mem_free(c->piece);
	mem_free(c->folder);
	mem_free(c);
}

static int count_text(const struct word_counter *c, struct table *t, const char *text, size_t n, uint64_t count)
{
	struct slice all = { .text = text, .n = n, .begins = true }, normal, word;

	if (normalizer_run(&c->normalizer, &all, &normal, &t->altered, &t->err) ||
	    pretokenizer_run(c->pretokenizer, &normal, t->cut, &t->err))
		return -1;
	while (words_next(t->cut, &word)) {
		if (word.n == 0)
			continue;
		if (word.n > 1u << 30)
			return err_set(&t->err, "a word of %zu bytes is too long", word.n);
		table_add(t, word.text, word.n, count);
		t->words += count;
	}
	return 0;
}

/* Is there something behind the last space that no normalizer takes away? */
static bool ends_solid(const char *text, size_t n)
{
	while (n-- > 0 && text[n] != ' ')
		if (is_letter_or_mark((unsigned char)text[n]))
			return true;
	return false;
}

static void count_raw(struct table *raw, const char *text, size_t n)
{
	for (size_t at = 0; at < n;) {
		const char *space = memchr(text + at, ' ', n - at);
		size_t end = space ? (size_t)(space - text) : n;
		if (end > at)
			table_add(raw, text + at, end - at, 1);
		at = end + 1;
	}
}

/* What was counted raw becomes words. */
static void settle_table(void *ctx, size_t item, int thread)
{
	struct word_counter *c = ctx;
	struct table *t = &c->table[item], *raw = &c->raw[item];

	(void)thread;
	if (raw->n && !t->cut)
		t->cut = words_new();
	for (size_t i = 0; i < raw->n && !t->failed; i++)
		t->failed = count_text(c, t, raw->word[i].text, raw->word[i].n, raw->word[i].count) < 0;
	table_clear(raw);
}

static int settle(struct word_counter *c, struct err *e)
{
	if (c->raw)
		pool_run(c->t->pool, (size_t)c->threads, settle_table, c);
	for (int i = 0; i < c->threads; i++)
		if (c->table[i].failed)
			return err_set(e, "%s", c->table[i].err.msg);
	return 0;
}

static void count_piece(void *ctx, size_t item, int thread)
{
	struct word_counter *c = ctx;
	struct table *t = &c->table[thread];
	const struct piece *p = &c->piece[item];

	if (t->failed)
		return;
	if (c->raw && ends_solid(c->batch + p->begin, p->end - p->begin)) {
		count_raw(&c->raw[thread], c->batch + p->begin, p->end - p->begin);
		return;
	}
	if (!t->cut)
		t->cut = words_new();
	t->failed = count_text(c, t, c->batch + p->begin, p->end - p->begin, 1) < 0;
}

/* --- parts in files --- */

static char *part_path(const struct word_counter *c, size_t i) { return mem_printf("%s/%zu", c->folder, i); }

static int write_part(struct word_counter *c, struct table *t, struct err *e)
{
	struct io_writer w;
	char *path = part_path(c, c->n_parts);
	int status = io_writer_open(&w, path, e);

	mem_free(path);
	if (status)
		return -1;
	table_sort(t);
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < t->n && !status; i++) {
		buf_add(&b, &t->word[i].count, sizeof(uint64_t));
		buf_add(&b, &t->word[i].n, sizeof(uint32_t));
		buf_add(&b, t->word[i].text, t->word[i].n);
		if (b.len >= PIECE || i + 1 == t->n) {
			status = io_writer_add(&w, buf_str(&b), b.len, e);
			c->spilled += b.len;
			buf_clear(&b);
		}
	}
	buf_release(&b);
	c->n_parts++;
	table_clear(t);
	return io_writer_end(&w, status, e);
}

static int spill(struct word_counter *c, struct err *e)
{
	if (!c->folder) {
		c->folder = mem_printf("%s/kungfu-words-XXXXXX", c->t->scratch ? c->t->scratch : "/tmp");
		if (io_temporary_dir(c->folder, e)) {
			mem_free(c->folder);
			c->folder = NULL;
			return -1;
		}
	}
	for (int i = 0; i < c->threads; i++) {
		if (c->n_parts == PARTS)
			return err_set(e, "%d parts of words are written already: a larger --memory makes fewer",
			               PARTS);
		if (c->table[i].n && write_part(c, &c->table[i], e))
			return -1;
	}
	mem_trim();
	return 0;
}

static int spill_when_full(struct word_counter *c, struct err *e)
{
	size_t held = 0;
	for (int i = 0; i < c->threads; i++)
		held += table_bytes(&c->table[i]) + (c->raw ? table_bytes(&c->raw[i]) : 0);
	return held > c->most && (settle(c, e) || spill(c, e)) ? -1 : 0;
}

int word_counter_add(struct word_counter *c, const char *word, size_t n, uint64_t count, struct err *e)
{
	table_add(&c->table[0], word, n, count);
	c->table[0].words += count;
	return spill_when_full(c, e);
}

/* --- gathering --- */

static int count_batch(struct word_counter *c, struct err *e)
{
	bool whole = pool_try(c->t->pool, c->n_pieces, count_piece, c);

	c->n_batch = c->n_pieces = 0;
	for (int i = 0; i < c->threads; i++)
		if (c->table[i].failed)
			return err_set(e, "%s", c->table[i].err.msg);
	if (!whole)
		return stop_look(e, "words were counted");
	return spill_when_full(c, e);
}

static void add_piece(struct word_counter *c, const char *text, size_t n)
{
	if (c->n_batch + n > c->cap_batch) {
		c->cap_batch = MAX(c->n_batch + n, 2 * c->cap_batch);
		c->batch = mem_grow(c->batch, c->cap_batch, 1);
	}
	memcpy(c->batch + c->n_batch, text, n);
	if (c->n_pieces == c->cap_pieces) {
		c->cap_pieces = MAX(256, 2 * c->cap_pieces);
		c->piece = mem_grow(c->piece, c->cap_pieces, sizeof(*c->piece));
	}
	c->piece[c->n_pieces++] = (struct piece){ c->n_batch, c->n_batch + n };
	c->n_batch += n;
}

/* Where a text may be cut, at `from` or behind it: between a line's end and the next line. */
static size_t cut_at(const char *text, size_t n, size_t from)
{
	while (from < n) {
		const char *end = memchr(text + from, '\n', n - from);
		if (!end || end + 1 == text + n)
			return n;
		from = (size_t)(end - text) + 1;
		if (from >= 2 && is_letter_or_mark((unsigned char)text[from - 2]) &&
		    is_letter_or_mark((unsigned char)text[from]))
			return from;
	}
	return n;
}

static int add_text(struct word_counter *c, const char *text, size_t n, struct err *e)
{
	size_t at = 0, bad;

	if (!utf8_valid(text, n, &bad))
		return err_set(e, "a text is not valid UTF-8 at its byte %zu", bad + 1);
	while (at < n) {
		size_t end = n - at < LONG_TEXT ? n : cut_at(text, n, at + PIECE);
		if (end - at > 1u << 30)
			return err_set(e, "%zu bytes without a line's end are too long to be cut into words", end - at);
		add_piece(c, text + at, end - at);
		at = end;
		if (c->n_batch >= c->most_batch && count_batch(c, e))
			return -1;
	}
	return 0;
}

static int add_lines(struct word_counter *c, const char *text, size_t n, struct err *e)
{
	for (size_t at = 0; at < n;) {
		const char *end = memchr(text + at, '\n', n - at);
		size_t next = end ? (size_t)(end - text) + 1 : n;
		if (add_text(c, text + at, next - at, e))
			return -1;
		at = next;
	}
	return 0;
}

int word_counter_read(struct word_counter *c, struct token_texts *texts, bool whole, struct token_train_report *r,
                      struct err *e)
{
	const char *text;
	size_t n;
	int found;

	while ((found = texts->next(texts->ctx, &text, &n, e)) > 0) {
		if (stop_look(e, "words were counted") || (whole ? add_text(c, text, n, e) : add_lines(c, text, n, e)))
			return -1;
		r->texts++;
		r->bytes += n;
		token_train_progress(c->t, "counting words", r->bytes, texts->bytes);
	}
	if (found < 0 || count_batch(c, e) || settle(c, e))
		return -1;
	for (int i = 0; i < c->threads; i++)
		r->words += c->table[i].words;
	return 0;
}

/* --- the end --- */

struct growing { struct word_counts *out; size_t cap, n_text, cap_text, most; };

/* Words come sorted; one that is the last one's equal is added to it. */
static int put(struct growing *g, const char *text, size_t n, uint64_t count, struct err *e)
{
	struct word_counts *w = g->out;
	char need[32], most[32];

	if (w->n && word_counts_bytes(w, w->n - 1) == n && !memcmp(w->text + w->begin[w->n - 1], text, n)) {
		w->count[w->n - 1] += count;
		return 0;
	}
	if (w->n + 1 >= g->cap) {
		g->cap = MAX(1024, 2 * g->cap);
		w->begin = mem_grow(w->begin, g->cap, sizeof(*w->begin));
		w->count = mem_grow(w->count, g->cap, sizeof(*w->count));
	}
	if (g->n_text + n > g->cap_text) {
		g->cap_text = MAX(g->n_text + n, MAX(65536, 2 * g->cap_text));
		w->text = mem_grow(w->text, g->cap_text, 1);
	}
	memcpy(w->text + g->n_text, text, n);
	w->begin[w->n] = g->n_text;
	w->count[w->n++] = count;
	g->n_text += n;
	w->begin[w->n] = g->n_text;
	if (g->n_text + w->n * 16 > g->most)
		return err_set(e, "%zu distinct words take more than %s, half of --memory %s", w->n,
		               human_bytes(g->most, need), human_bytes(2 * g->most, most));
	return 0;
}

struct part { struct mapping map; size_t at, forgotten; struct word now; };

static bool part_next(struct part *p)
{
	if (p->at + HEAD > p->map.size)
		return false;
	const uint8_t *x = p->map.data + p->at;
	memcpy(&p->now.count, x, sizeof(uint64_t));
	memcpy(&p->now.n, x + sizeof(uint64_t), sizeof(uint32_t));
	p->now.text = (const char *)x + HEAD;
	p->at += HEAD + p->now.n;
	if (p->at > p->map.size)
		return false;
	if (p->at - p->forgotten > LONG_TEXT + p->now.n + HEAD) {
		size_t done = p->at - p->now.n - HEAD;
		io_forget(&p->map, p->map.data + p->forgotten, done - p->forgotten);
		p->forgotten = done;
	}
	return true;
}

/* A heap of parts by their words. */
static void sink(struct part **heap, size_t n, size_t i)
{
	for (;;) {
		size_t k = 2 * i + 1;
		if (k >= n)
			return;
		k += k + 1 < n && by_bytes(&heap[k + 1]->now, &heap[k]->now) < 0;
		if (by_bytes(&heap[i]->now, &heap[k]->now) <= 0)
			return;
		struct part *x = heap[i];
		heap[i] = heap[k];
		heap[k] = x;
		i = k;
	}
}

static int join(struct word_counter *c, struct part *part, struct part **heap, struct growing *g, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_parts; i++) {
		char *path = part_path(c, i);
		int status = io_map(&part[i].map, path, e);
		mem_free(path);
		if (status)
			return -1;
		if (part_next(&part[i]))
			heap[n++] = &part[i];
	}
	for (size_t i = n / 2; i-- > 0;)
		sink(heap, n, i);
	for (size_t k = 1; n; k++) {
		const struct word *w = &heap[0]->now;
		if (put(g, w->text, w->n, w->count, e) || (k % 65536 == 0 && stop_look(e, "words were joined")))
			return -1;
		if (!part_next(heap[0]))
			heap[0] = heap[--n];
		sink(heap, n, 0);
	}
	return 0;
}

static int join_parts(struct word_counter *c, struct growing *g, struct err *e)
{
	struct part *part = mem_array(c->n_parts, sizeof(*part)), **heap = mem_array(c->n_parts, sizeof(*heap));
	int status = join(c, part, heap, g, e);

	for (size_t i = 0; i < c->n_parts; i++)
		if (part[i].map.data)
			io_unmap(&part[i].map);
	mem_free(part);
	mem_free(heap);
	return status;
}

static int join_tables(struct word_counter *c, struct growing *g, struct err *e)
{
	struct table *first = &c->table[0];

	for (int k = 1; k < c->threads; k++) {
		for (size_t i = 0; i < c->table[k].n; i++) {
			const struct word *w = &c->table[k].word[i];
			table_add(first, w->text, w->n, w->count);
		}
		table_clear(&c->table[k]);
	}
	table_sort(first);
	for (size_t i = 0; i < first->n; i++)
		if (put(g, first->word[i].text, first->word[i].n, first->word[i].count, e))
			return -1;
	return 0;
}

int word_counter_end(struct word_counter *c, struct word_counts *out, uint64_t *spilled, struct err *e)
{
	struct growing g = { .out = out, .most = token_train_memory(c->t) / 2 };
	int status = 0;

	*out = (struct word_counts){ 0 };
	if (c->n_parts)
		status = spill(c, e) || join_parts(c, &g, e) ? -1 : 0;
	else
		status = join_tables(c, &g, e);
	*spilled = c->spilled;
	word_counter_free(c);
	if (status)
		word_counts_release(out);
	return status;
}
