/* build_save: a build's counts and examples and where it is, as JSON, from one process to the next. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "corpus/build_parts.h"

/* A row of whole numbers, as an array of JSON. */
static json_t *numbers(const uint64_t *x, size_t n)
{
	json_t *j = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(j, json_integer((json_int_t)x[i]));
	return j;
}

static int take_numbers(uint64_t *x, size_t n, const json_t *j, struct err *e)
{
	if (json_array_size(j) != n)
		return err_set(e, "a list of %zu numbers, %zu were wanted", json_array_size(j), n);
	for (size_t i = 0; i < n; i++)
		x[i] = (uint64_t)json_integer_value(json_array_get(j, i));
	return 0;
}

enum { COUNTS = 6 };
static void counts_of(struct build_log *l, uint64_t *out[COUNTS])
{
	uint64_t *const all[COUNTS] = { &l->documents, &l->kept, &l->bytes, &l->cut, &l->unknown, &l->damaged };

	memcpy(out, all, sizeof(all));
}

static json_t *file_json(const struct build_file *f)
{
	return json_pack("[I, I, I, s, i, b]", (json_int_t)f->documents, (json_int_t)f->kept, (json_int_t)f->bytes,
	                 f->hash, (int)f->kind, f->damaged);
}

static json_t *tally_json(const struct build_tally *t)
{
	return json_pack("[I, I, I, O?]", (json_int_t)t->documents, (json_int_t)t->lines, (json_int_t)t->bytes,
	                 t->examples);
}

json_t *build_save(const struct build_log *l, const struct build_at *a)
{
	const struct corpus_progress *p = &a->progress;
	json_t *files = json_array(), *tally = json_array();
	uint64_t counts[COUNTS], *at[COUNTS];
	struct build_log copy = *l;

	counts_of(&copy, at);
	for (size_t i = 0; i < COUNTS; i++)
		counts[i] = *at[i];
	for (size_t i = 0; i <= a->file && i < l->c->files->n; i++)
		json_array_append_new(files, file_json(&l->files[i]));
	for (size_t i = 0; i < BUILD_REASONS; i++)
		json_array_append_new(tally, tally_json(&l->tally[i]));
	const uint64_t where[] = { a->file, a->before, p->bytes_read, p->text, p->documents, p->kept, p->tokens,
		                   l->left_out };
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:O?, s:o}", "where", numbers(where, ARRAY_LEN(where)), "counts",
	                 numbers(counts, COUNTS), "cleaned", numbers((const uint64_t *)&l->cleaned,
	                 sizeof(l->cleaned) / sizeof(uint64_t)), "files", files, "tally", tally, "languages",
	                 l->languages, "of", numbers((const uint64_t *)l->of[0], l->c->n_sources * sizeof(l->of[0]) /
	                 sizeof(uint64_t)));
}

static int take_where(struct build_log *l, struct build_at *a, const json_t *j, struct err *e)
{
	struct corpus_progress *p = &a->progress;
	uint64_t x[8];

	if (take_numbers(x, ARRAY_LEN(x), j, e) < 0)
		return -1;
	if (x[0] >= l->c->files->n)
		return err_set(e, "it is at file %llu of %zu", (unsigned long long)x[0], l->c->files->n);
	a->file = (size_t)x[0];
	a->before = x[1];
	p->bytes_read = x[2];
	p->text = x[3];
	p->documents = x[4];
	p->kept = x[5];
	p->tokens = x[6];
	l->left_out = x[7];
	return 0;
}

static void take_file(struct build_file *f, const json_t *j)
{
	const char *hash = json_string_value(json_array_get(j, 3));

	f->documents = (uint64_t)json_integer_value(json_array_get(j, 0));
	f->kept = (uint64_t)json_integer_value(json_array_get(j, 1));
	f->bytes = (uint64_t)json_integer_value(json_array_get(j, 2));
	snprintf(f->hash, sizeof(f->hash), "%s", hash ? hash : "");
	f->kind = (enum input_kind)json_integer_value(json_array_get(j, 4));
	f->damaged = json_is_true(json_array_get(j, 5));
}

static void take_tally(struct build_tally *t, const json_t *j)
{
	json_t *examples = json_array_get(j, 3);

	t->documents = (uint64_t)json_integer_value(json_array_get(j, 0));
	t->lines = (uint64_t)json_integer_value(json_array_get(j, 1));
	t->bytes = (uint64_t)json_integer_value(json_array_get(j, 2));
	t->examples = json_is_array(examples) ? json_incref(examples) : NULL;
}

int build_restore(struct build_log *l, struct build_at *a, const json_t *j, struct err *e)
{
	const json_t *files = json_object_get(j, "files"), *tally = json_object_get(j, "tally");
	json_t *languages = json_object_get(j, "languages");
	uint64_t counts[COUNTS], *at[COUNTS];

	if (take_where(l, a, json_object_get(j, "where"), e) < 0 ||
	    take_numbers(counts, COUNTS, json_object_get(j, "counts"), e) < 0 ||
	    take_numbers((uint64_t *)&l->cleaned, sizeof(l->cleaned) / sizeof(uint64_t),
	                 json_object_get(j, "cleaned"), e) < 0 ||
	    take_numbers((uint64_t *)l->of[0], l->c->n_sources * sizeof(l->of[0]) / sizeof(uint64_t),
	                 json_object_get(j, "of"), e) < 0)
		return -1;
	if (json_array_size(files) != a->file + 1 || json_array_size(tally) != BUILD_REASONS)
		return err_set(e, "it speaks of %zu files", json_array_size(files));
	counts_of(l, at);
	for (size_t i = 0; i < COUNTS; i++)
		*at[i] = counts[i];
	for (size_t i = 0; i <= a->file; i++)
		take_file(&l->files[i], json_array_get(files, i));
	for (size_t i = 0; i < BUILD_REASONS; i++)
		take_tally(&l->tally[i], json_array_get(tally, i));
	if (l->languages && json_is_object(languages))
		json_object_update(l->languages, languages);
	return 0;
}

void build_identity(const struct build_log *l, const struct decontaminate *d, char hex[33])
{
	const struct corpus *c = l->c;
	struct build_log none = { .c = c }; /* options alone */
	json_t *j = build_log_built(&none);
	struct buf all = BUF_INIT;
	char *line = jsonx_line(j);

	buf_addf(&all, "%s %s %zu %llu\n", KUNGFU_VERSION, line, c->options->examples,
	         (unsigned long long)c->options->save_bytes);
	for (size_t i = 0; i < c->n_sources; i++)
		buf_addf(&all, "%s %.17g %.17g\n", c->sources[i].name, c->sources[i].weight, c->sources[i].epochs);
	for (size_t i = 0; i < c->files->n; i++) {
		const struct input_file *f = &c->files->items[i];
		buf_addf(&all, "%s %zu %llu %lld\n", f->name, f->source, (unsigned long long)f->size,
		         (long long)f->changed);
	}
	if (d->grams.slots)
		buf_add(&all, d->grams.key, d->grams.slots * sizeof(*d->grams.key));
	hash_hex(buf_str(&all), all.len, hex);
	buf_release(&all);
	mem_free(line);
	json_decref(j);
}
