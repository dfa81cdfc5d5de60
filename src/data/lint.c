/* lint: a look at every document before anything is learnt. Documents are compared by 64-bit keys of their ids: among
 * a million rows two different ones have the same key with probability 3e-8, and nothing is refused for it. */
#include "data/lint.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "data/forest.h"
#include "data/shape.h"

struct linter {
	struct lint *l;
	const struct documents *d;
	const struct tokenizer *tokenizer;
	const struct lint_options *o;
	bool is_text;                   /* all of a row is learnt */
	bool asks_only;                 /* rows of which nothing is learnt as they are */
	const struct rows *rows;
};

#define find(l, d, ...) findings_add(&(l)->refused, (d)->file, (d)->line, __VA_ARGS__)

/* --- what is refused --- */

static void check_ids(const struct linter *x, const struct document *d)
{
	int32_t V = x->o->vocabulary;

	for (int32_t i = 0; V && i < d->n; i++) {
		if (d->ids[i] >= 0 && d->ids[i] < V)
			continue;
		find(x->l, d, "token %d, the model has %d: its tokenizer does not belong to it", d->ids[i], V);
		return;
	}
}

static void check_begin(const struct linter *x, const struct document *d)
{
	int32_t bos = tokenizer_bos(x->tokenizer);
	struct buf piece = BUF_INIT;

	if (bos < 0 || d->n < 2 || d->ids[0] != bos || d->ids[1] != bos)
		return;
	tokenizer_piece(x->tokenizer, bos, &piece);
	find(x->l, d, "double BOS: it begins with %s twice", buf_str(&piece));
	buf_release(&piece);
}

/* The roles of a row's messages, each once; nothing where one of them is an assistant's. */
static void list_roles(const json_t *row, struct buf *out)
{
	const char *key;
	json_t *list, *message;
	size_t i;

	json_object_foreach((json_t *)(uintptr_t)row, key, list)
		json_array_foreach(list, i, message) {
			const char *role = json_string_value(json_object_get(message, "role"));
			bool assistant = role && !strcmp(role, "assistant");
			if (assistant)
				buf_clear(out);
			if (assistant)
				return;
			if (role && out->len < 100 && !strstr(buf_str(out), role))
				buf_addf(out, "%s%.20s", out->len ? ", " : "", role);
		}
}

/* Rows stand in the order of their documents: *at goes on from the last one that was looked for. */
static const struct row *row_of(const struct rows *r, const struct document *d, size_t *at)
{
	while (*at < r->n && (r->items[*at].line != d->line || strcmp(r->items[*at].file, d->file) != 0))
		++*at;
	return *at < r->n ? &r->items[*at] : NULL;
}

static void check_learnt(const struct linter *x, const struct document *d, size_t *at)
{
	if (d->n_learn > 0 || x->asks_only)
		return;
	const struct row *row = row_of(x->rows, d, at);
	struct buf roles = BUF_INIT;
	if (row)
		list_roles(row->json, &roles);
	if (d->n_cut)
		find(x->l, d,
		     "nothing to train on: of its %d tokens the first %d are kept, and no answer begins in them; "
		     "--max-length is too small for it",
		     d->n + d->n_cut, d->n);
	else if (roles.len)
		find(x->l, d, "nothing to train on: no message is of the role assistant, they are of %s",
		     buf_str(&roles));
	else
		find(x->l, d, "nothing to train on: no token of this row is supervised");
	buf_release(&roles);
}

/* Is a token learnt that ends an answer: EOS, or the special token that closes a turn? */
static bool learns_end(const struct linter *x, const struct document *d)
{
	int32_t eos = tokenizer_eos(x->tokenizer);

	for (int32_t i = 1; i < d->n; i++) {
		bool last = i + 1 == d->n || !d->learn[i + 1];
		if (d->learn[i] && (d->ids[i] == eos || (last && tokenizer_is_special(x->tokenizer, d->ids[i]))))
			return true;
	}
	return false;
}

/* One token is learnt for the whole of it. */
static bool stands_for_all(const struct linter *x, const struct document *d)
{
	return x->o->document.labelled || d->label || d->listed;
}

/* Choices are scored without an end. */
static void check_ends(const struct linter *x)
{
	struct lint *l = x->l;
	const struct document *d = x->d->items;
	const char *hint = tokenizer_eos(x->tokenizer) < 0 ? "; the tokenizer names none" : "";

	if (l->n_ended || !x->d->n || d->choice >= 0 || x->asks_only || stands_for_all(x, d) ||
	    x->o->document.masked > 0)
		return;
	if (l->n_truncated)
		find(l, d, "EOS is never supervised, in no row: --max-length %d takes the end of %zu of %zu documents",
		     x->o->document.max_length, l->n_truncated, l->n);
	else
		find(l, d, "EOS is never supervised, in no row: the model would not learn to stop%s", hint);
}

/* --- what is told --- */

/* Is what is learnt from token *i on, to the next that is not, an end and white space alone? */
static bool next_is_empty(const struct linter *x, const struct document *d, int32_t *i)
{
	struct buf text = BUF_INIT;
	int32_t from = x->is_text ? 0 : *i;

	while (*i < d->n && d->learn[*i])
		++*i;
	tokenizer_decode(x->tokenizer, d->ids + from, (size_t)(*i - from), true, &text);
	bool empty = !text.len || unicode_all(buf_str(&text), text.len, unicode_is_space);
	buf_release(&text);
	return empty;
}

/* The pieces of a long text have no answers of their own. */
static bool is_piece(const struct documents *d, size_t i)
{
	const struct document *a = &d->items[i], *b = i ? &d->items[i - 1] : NULL;

	return b && !a->joined && a->choice < 0 && a->line == b->line && a->file == b->file;
}

/* Of a text all is learnt but its first token, which counts here, too. */
static void check_empty(const struct linter *x, const struct document *d)
{
	bool answer = !stands_for_all(x, d);

	if (d->empty && !answer)
		findings_add(&x->l->empty, d->file, d->line, "an answer without text");
	for (int32_t i = 0; i < d->n && answer; i++)
		if (d->learn[i] && next_is_empty(x, d, &i)) {
			findings_add(&x->l->empty, d->file, d->line,
			             "an answer without text: only its end is trained on");
			return;
		}
}

/* The group that document i ends has two that say the same, or the same as far as they are kept. */
static void check_equal(const struct linter *x, size_t i)
{
	const struct document *d = &x->d->items[i];

	for (size_t k = i; x->d->items[k].joined; k--) {
		const struct document *b = &x->d->items[k - 1];
		if (d->n != b->n || memcmp(d->ids, b->ids, (size_t)d->n * sizeof(*d->ids)) != 0)
			continue;
		findings_add(&x->l->equal, d->file, d->line, "two of its answers are the same");
		return;
	}
}

static size_t count_untemplated(const struct rows *r, const struct text_codec *c, const struct lint_options *o)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n && c->template_; i++)
		n += !shape_templated(r->shape, r->items[i].json, o->document.apply_chat_template);
	return n;
}

/* --- lengths --- */

static int compare_int(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	return (x > y) - (x < y);
}

/* The nearest rank: the smallest length that at least p of all documents do not exceed. */
static int32_t percentile(const int32_t *sorted, size_t n, unsigned p)
{
	return sorted[(n * p + 99) / 100 - 1];
}

static void measure(struct lint *l, const struct documents *d)
{
	int32_t *length = mem_array(d->n, sizeof(*length));

	for (size_t i = 0; i < d->n; i++) {
		length[i] = d->items[i].n;
		l->histogram[31 - __builtin_clz((unsigned)length[i])]++;
	}
	qsort(length, d->n, sizeof(*length), compare_int);
	l->min = length[0];
	l->median = percentile(length, d->n, 50);
	l->p95 = percentile(length, d->n, 95);
	l->max = length[d->n - 1];
	mem_free(length);
}

/* --- what rows have in common --- */

struct keyed { uint64_t key; size_t index; };

static int compare_keyed(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	return x->key != y->key ? (x->key > y->key) - (x->key < y->key) : (x->index > y->index) - (x->index < y->index);
}

static int compare_key(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Of all that makes a document: its ids and which of them are learnt. */
static uint64_t key_of(const struct document *d)
{
	uint64_t half[2] = { hash_64(d->ids, (size_t)d->n * sizeof(*d->ids)), hash_64(d->learn, (size_t)d->n) };
	return hash_64(half, sizeof(half));
}

/* Pieces of a long text, and answers to one prompt, are of one row: their likeness is told otherwise. */
static void find_duplicates(struct lint *l, const struct documents *d)
{
	struct keyed *keys = mem_array(d->n, sizeof(*keys));
	size_t *of = mem_array(d->n, sizeof(*of));

	for (size_t i = 0; i < d->n; i++)
		keys[i] = (struct keyed){ key_of(&d->items[i]), i };
	qsort(keys, d->n, sizeof(*keys), compare_keyed);
	for (size_t i = 0, begin = 0; i < d->n; i++) {
		if (keys[i].key != keys[begin].key)
			begin = i;
		of[keys[i].index] = keys[begin].index;
	}
	for (size_t i = 0; i < d->n; i++) {
		const struct document *a = &d->items[i], *b = &d->items[of[i]];
		if (of[i] != i && (a->file != b->file || a->line != b->line))
			findings_add(&l->duplicates, a->file, a->line, "%s:%zu", b->file, b->line);
	}
	mem_free(of);
	mem_free(keys);
}

/* A document without the end of its last answer and what comes after: training has an EOS there, a scored choice has
 * none. */
static int32_t length_without_end(const struct tokenizer *t, const struct document *d)
{
	int32_t n = d->n;

	while (n > 1 && !d->learn[n - 1])
		n--;
	while (n > 1 && tokenizer_is_special(t, d->ids[n - 1]))
		n--;
	return n;
}

/* Tokens before the first answer; 0 where all is learnt. */
static int32_t prompt_length(const struct document *d)
{
	int32_t n = 1;

	if (d->n_learn >= d->n - 1)
		return 0;
	while (n < d->n && !d->learn[n])
		n++;
	return n;
}

static uint64_t key_whole(const struct tokenizer *t, const struct document *d)
{
	return hash_64(d->ids, (size_t)length_without_end(t, d) * sizeof(*d->ids));
}

static void take_keys(const struct linter *x)
{
	struct lint *l = x->l;

	l->whole = arena_array(&l->mem, x->d->n, sizeof(*l->whole));
	l->prompt = arena_array(&l->mem, x->d->n, sizeof(*l->prompt));
	for (size_t i = 0; i < x->d->n; i++) {
		const struct document *d = &x->d->items[i];
		int32_t prompt = prompt_length(d);
		l->whole[i] = key_whole(x->tokenizer, d);
		if (prompt && d->choice <= 0 && !d->joined) /* a row's documents have one */
			l->prompt[l->n_prompts++] = hash_64(d->ids, (size_t)prompt * sizeof(*d->ids));
	}
	qsort(l->whole, x->d->n, sizeof(*l->whole), compare_key);
	qsort(l->prompt, l->n_prompts, sizeof(*l->prompt), compare_key);
}

static size_t count_common(const uint64_t *a, size_t n, const uint64_t *in, size_t m)
{
	size_t common = 0;

	for (size_t i = 0; i < n && m; i++)
		common += bsearch(&a[i], in, m, sizeof(*in), compare_key) != NULL;
	return common;
}

/* --- what others call --- */

static void lint_all(const struct linter *x)
{
	struct lint *l = x->l;
	const struct documents *d = x->d;

	*l = (struct lint){ .n = d->n,
		            .tokens = d->tokens,
		            .learnt = d->learnt,
		            .n_truncated = d->n_truncated,
		            .n_split = d->n_split,
		            .n_rewritten = d->n_rewritten };
	for (size_t i = 0, at = 0; i < d->n; i++) {
		check_ids(x, &d->items[i]);
		check_begin(x, &d->items[i]);
		check_learnt(x, &d->items[i], &at);
		l->n_ended += learns_end(x, &d->items[i]);
		if (!is_piece(d, i))
			check_empty(x, &d->items[i]);
		check_equal(x, i);
	}
	if (!d->n)
		return;
	if (!l->refused.n)
		check_ends(x);
	measure(l, d);
	find_duplicates(l, d);
	take_keys(x);
}

int lint_documents(struct lint *l, struct documents *d, const struct rows *r, const struct text_codec *c,
                   const struct lint_options *o, struct err *e)
{
	struct document_options unpacked = o->document;
	struct linter x = { .l = l,
		            .d = d,
		            .tokenizer = c->tokenizer,
		            .o = o,
		            .is_text = r->shape && r->shape->judged == JUDGED_TEXTS,
		            .asks_only = r->shape && r->shape->asks_only,
		            .rows = r };

	*l = (struct lint){ 0 };
	if (o->document.packing && documents_packable(r, &o->document, e) < 0)
		return -1;
	unpacked.packing = false;
	if (o->document.packing)
		unpacked.max_length = INT32_MAX;
	if (documents_make(d, r, c, &unpacked, e) < 0)
		return -1;
	lint_all(&x);
	l->n_untemplated = count_untemplated(r, c, o);
	if (o->document.packing)
		documents_pack(d, o->document.max_length);
	return 0;
}

int lint_refuse(const struct lint *l, struct err *e) { return findings_refuse(&l->refused, e); }

bool lint_has(const struct lint *train, const struct tokenizer *t, const struct document *d)
{
	uint64_t key = key_whole(t, d);

	return train->n && bsearch(&key, train->whole, train->n, sizeof(key), compare_key);
}

struct lint_overlap lint_compare(const struct lint *train, const struct lint *eval)
{
	return (struct lint_overlap){
		.documents = count_common(eval->whole, eval->n, train->whole, train->n),
		.prompts = count_common(eval->prompt, eval->n_prompts, train->prompt, train->n_prompts),
	};
}

int64_t lint_computed(const struct documents *d, int32_t max_tokens)
{
	const struct document **docs = mem_array(d->n, sizeof(*docs));
	struct forest_options o = { .max_tokens = max_tokens, .share = true };
	struct batch_cap need;
	struct live live;
	int64_t computed = 0, tokens;

	for (size_t i = 0; i < d->n; i++) {
		docs[i] = &d->items[i];
		o.max_tokens = MAX(o.max_tokens, d->items[i].n);
	}
	for (size_t i = 0, taken; i < d->n; i += taken) {
		taken = forest_take(docs + i, d->n - i, &o, &need, &live, &tokens);
		computed += need.rows;
	}
	mem_free(docs);
	return computed;
}

void lint_release(struct lint *l)
{
	findings_release(&l->refused);
	findings_release(&l->duplicates);
	findings_release(&l->empty);
	findings_release(&l->equal);
	arena_release(&l->mem);
	*l = (struct lint){ 0 };
}
