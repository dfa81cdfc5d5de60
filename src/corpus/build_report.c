/* build_report: what was read, changed and left out, as numbers and examples. Nothing in it depends on time, threads or
 * the machine. */
#include "corpus/build_parts.h"

#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { SHOWN = 200 }; /* bytes of an example */

static const char *const reasons[BUILD_RULES] = {
	[BUILD_EMPTY] = "empty",           [BUILD_BROKEN_ROW] = "broken-row", [BUILD_NO_COLUMN] = "no-text-column",
	[BUILD_BAD_BYTES] = "bad-bytes",   [BUILD_LANGUAGE] = "language",     [BUILD_CONTAMINATED] = "contaminated",
	[BUILD_EXACT] = "exact-duplicate", [BUILD_NEAR] = "near-duplicate",
};

static const char *reason_name(size_t reason)
{
	return reason < BUILD_RULES ? reasons[reason] : rules_table[reason - BUILD_RULES].name;
}

void build_log_begin(struct build_log *l, const struct corpus *c)
{
	*l = (struct build_log){ .c = c, .languages = c->options->language ? json_object() : NULL };
	l->files = mem_array(c->files->n, sizeof(*l->files));
}

void build_log_release(struct build_log *l)
{
	for (size_t i = 0; i < BUILD_REASONS; i++)
		json_decref(l->tally[i].examples);
	json_decref(l->languages);
	mem_free(l->files);
}

/* --- what happens --- */

static json_t *example(const struct build_log *l, uint32_t file, uint64_t line, const char *text, size_t n)
{
	size_t shown = utf8_complete(text, MIN(n, (size_t)SHOWN));
	json_t *j = json_object();

	json_object_set_new(j, "file", jsonx_path(l->c->files->items[file].name));
	json_object_set_new(j, "line", json_integer((json_int_t)line));
	json_object_set_new(j, "text", jsonx_text(text, shown));
	return j;
}

static void keep_example(struct build_log *l, struct build_tally *t, json_t *j)
{
	if (!t->examples)
		t->examples = json_array();
	if (json_array_size(t->examples) < l->c->options->examples)
		json_array_append(t->examples, j);
	json_decref(j);
}

void build_log_out(struct build_log *l, size_t reason, uint32_t file, uint64_t line, const char *text, size_t n,
                   double value, const char *what)
{
	struct build_tally *t = &l->tally[reason];

	t->documents++;
	t->bytes += n;
	if (json_array_size(t->examples) >= l->c->options->examples)
		return;
	json_t *j = example(l, file, line, text, n);
	if (!isnan(value))
		json_object_set_new(j, "value", jsonx_number(round(value * 1e4) / 1e4));
	if (what)
		json_object_set_new(j, "is", json_string(what));
	keep_example(l, t, j);
}

void build_log_lines(struct build_log *l, size_t rule, uint64_t lines, uint64_t bytes)
{
	l->tally[BUILD_RULES + rule].lines += lines;
	l->tally[BUILD_RULES + rule].bytes += bytes;
}

void build_log_line(struct build_log *l, size_t rule, uint32_t file, uint64_t line, const char *text)
{
	keep_example(l, &l->tally[BUILD_RULES + rule], example(l, file, line, text, strlen(text)));
}

/* --- what is told --- */

static json_t *removed_json(const struct build_log *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < BUILD_REASONS; i++) {
		const struct build_tally *t = &l->tally[i];
		if (!t->documents && !t->lines)
			continue;
		json_t *j = json_pack("{s:s, s:I}", "by", reason_name(i), "documents", (json_int_t)t->documents);
		if (i >= BUILD_RULES && !rules_table[i - BUILD_RULES].value)
			json_object_set_new(j, "lines", json_integer((json_int_t)t->lines));
		json_object_set_new(j, "bytes", json_integer((json_int_t)t->bytes));
		json_object_set_new(j, "examples", t->examples ? json_incref(t->examples) : json_array());
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *cleaned_json(const struct clean_counts *c)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "bad_bytes", (json_int_t)c->bad_bytes, "documents_with_bad_bytes",
	                 (json_int_t)c->bad_texts, "newlines", (json_int_t)c->newlines, "control_characters",
	                 (json_int_t)c->controls, "normalized_documents", (json_int_t)c->normalized);
}

static json_t *sources_json(const struct build_log *l, uint64_t *tokens)
{
	json_t *list = json_array();

	*tokens = 0;
	for (size_t i = 0; i < l->c->n_sources; i++) {
		json_t *j = json_pack("{s:s}", "name", l->c->sources[i].name);
		for (int split = 0; split < SHARDS_SPLITS; split++) {
			json_object_set_new(j, shards_split_name(split),
			                    json_pack("{s:I, s:I, s:I}", "documents",
			                              (json_int_t)l->of[i][split].documents, "tokens",
			                              (json_int_t)l->of[i][split].tokens, "bytes",
			                              (json_int_t)l->of[i][split].bytes));
			*tokens += l->of[i][split].tokens;
		}
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *left_out_json(const struct build_log *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < l->c->files->n && json_array_size(list) < l->c->options->examples; i++)
		if (l->files[i].kind == INPUT_TABLE || l->files[i].kind == INPUT_BINARY || l->files[i].damaged)
			json_array_append_new(list, jsonx_path(l->c->files->items[i].name));
	return list;
}

json_t *build_log_report(const struct build_log *l, const struct decontaminate *d)
{
	uint64_t tokens;
	json_t *sources = sources_json(l, &tokens);
	json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "documents", (json_int_t)l->documents, "bytes",
	                      (json_int_t)l->bytes, "kept", (json_int_t)l->kept, "tokens", (json_int_t)tokens,
	                      "cut_texts", (json_int_t)l->cut, "unknown_tokens", (json_int_t)l->unknown);

	json_object_set_new(j, "files",
	                    json_pack("{s:I, s:I, s:I, s:o}", "read", (json_int_t)(l->c->files->n - l->left_out),
	                              "left_out", (json_int_t)l->left_out, "damaged", (json_int_t)l->damaged,
	                              "examples", left_out_json(l)));
	json_object_set_new(j, "cleaned", cleaned_json(&l->cleaned));
	if (l->languages)
		json_object_set(j, "languages", l->languages);
	json_object_set_new(j, "removed", removed_json(l));
	if (d->n_files)
		json_object_set_new(j, "evaluations",
		                    json_pack("{s:I, s:I, s:I}", "texts", (json_int_t)d->n_texts, "ngrams",
		                              (json_int_t)d->grams.n, "too_short", (json_int_t)d->too_short));
	json_object_set_new(j, "sources", sources);
	return j;
}

static json_t *names_json(const char *const *names, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, jsonx_path(names[i]));
	return list;
}

json_t *build_log_built(const struct build_log *l)
{
	static const char *const bad[] = { "replace", "remove", "drop" }, *const form[] = { "none", "nfc", "nfkc" };
	static const char *const dedup[] = { "none", "exact", "minhash" };
	const struct corpus_options *o = l->c->options;
	json_t *j =
		json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:I, s:s?, s:s?, s:s}", "text_column", o->clean.text_column,
	                  "bad_bytes", bad[o->clean.bad], "normalize", form[o->clean.form], "keep_newlines",
	                  o->clean.keep_newlines, "keep_controls", o->clean.keep_controls, "separator",
	                  o->input.separator ? o->input.separator : "", "most_bytes", (json_int_t)o->input.most_bytes,
	                  "filters", o->filters, "language", o->language, "dedup", dedup[o->dedup]);

	if (o->dedup == CORPUS_DEDUP_MINHASH)
		json_object_set_new(j, "minhash",
		                    json_pack("{s:i, s:i, s:f}", "permutations", o->permutations, "ngram", o->ngram,
		                              "threshold", o->threshold));
	if (o->n_decontaminate)
		json_object_set_new(j, "decontaminate",
		                    json_pack("{s:o, s:i, s:f}", "files",
		                              names_json(o->decontaminate, o->n_decontaminate), "ngram",
		                              o->decontaminate_ngram, "ratio", o->decontaminate_ratio));
	json_object_set_new(j, "valid",
	                    json_pack("{s:f, s:s, s:I}", "ratio", o->valid_ratio, "by",
	                              o->valid == CORPUS_VALID_END ? "end" : "document", "seed", (json_int_t)o->seed));
	return json_pack("{s:o, s:I, s:I}", "options", j, "documents_read", (json_int_t)l->documents, "bytes_read",
	                 (json_int_t)l->bytes);
}

void build_log_files(const struct build_log *l, struct buf *out)
{
	static const char *const kinds[] = { "text", "rows", "array", "table", "binary" };

	for (size_t i = 0; i < l->c->files->n; i++) {
		const struct build_file *f = &l->files[i];
		json_t *j = json_object();
		json_object_set_new(j, "file", jsonx_path(l->c->files->items[i].name));
		json_object_set_new(j, "source", json_string(l->c->sources[l->c->files->items[i].source].name));
		json_object_set_new(j, "kind", json_string(kinds[f->kind]));
		json_object_set_new(j, "bytes", json_integer((json_int_t)f->bytes));
		json_object_set_new(j, "hash", f->hash[0] ? json_string(f->hash) : json_null());
		json_object_set_new(j, "documents", json_integer((json_int_t)f->documents));
		json_object_set_new(j, "kept", json_integer((json_int_t)f->kept));
		if (f->damaged)
			json_object_set_new(j, "damaged", json_true());
		char *line = jsonx_line(j);
		buf_addf(out, "%s\n", line);
		mem_free(line);
		json_decref(j);
	}
}

int build_log_check(const struct build_log *l, struct err *e)
{
	size_t most = 0;

	for (size_t i = 1; i < BUILD_REASONS; i++)
		if (l->tally[i].documents > l->tally[most].documents)
			most = i;
	if (l->kept)
		return 0;
	if (l->documents && most == BUILD_NO_COLUMN)
		return err_set(e, "none of the rows has a text under \"%s\" (--text-column names another)",
		               l->c->options->clean.text_column);
	if (l->documents)
		return err_set(e, "of %llu documents none is left: %llu went by '%s'", (unsigned long long)l->documents,
		               (unsigned long long)l->tally[most].documents, reason_name(most));
	if (!l->left_out)
		return err_set(e, "there is no text in %zu files", l->c->files->n);
	return err_set(e, "there is no text in %zu files (%llu of them are tables or no text)", l->c->files->n,
	               (unsigned long long)l->left_out);
}
