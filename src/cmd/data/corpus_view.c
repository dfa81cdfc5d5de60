/* corpus_view: see corpus_view.h. Texts of a corpus are anybody's: they go through what a terminal may show. */
#include "cmd/data/corpus_view.h"

#include <math.h>
#include <string.h>

#include "base/human.h"
#include "base/sentence.h"
#include "base/term.h"
#include "cmd/command.h"
#include "cmd/text_table.h"

enum { EXAMPLE = 100 };

static void cell_number(struct table *t, double x)
{
	if (isnan(x))
		table_cell(t, "-");
	else
		table_cell(t, "%g", x);
}

static void add_row(struct table *t, const struct shards_source *x, enum shards_split split)
{
	const struct shards_stream *s = &x->split[split];
	char bytes[32];

	table_cell(t, "%s", split == SHARDS_TRAIN ? x->name : "");
	table_cell(t, "%s", shards_split_name(split));
	table_cell(t, "%llu", (unsigned long long)s->documents);
	table_cell(t, "%llu", (unsigned long long)s->tokens);
	table_cell(t, "%s", human_bytes((size_t)s->bytes, bytes));
	if (s->tokens)
		table_cell(t, "%.2f", (double)s->bytes / (double)s->tokens);
	else
		table_cell(t, "-");
	cell_number(t, split == SHARDS_TRAIN ? x->weight : NAN);
	cell_number(t, split == SHARDS_TRAIN ? x->epochs : NAN);
}

static void print_table(struct table *t, const char *indent)
{
	struct buf out = BUF_INIT;

	table_write(&out, t, indent);
	app_print("%s", buf_str(&out));
	buf_release(&out);
	table_release(t);
}

void corpus_view_shards(const struct shards *s)
{
	static const char *const head[] = { "source", "split",       "documents", "tokens",
		                            "text",   "bytes/token", "weight",    "epochs" };
	struct shards_stream train = shards_total(s, SHARDS_TRAIN), valid = shards_total(s, SHARDS_VALID);
	struct table t = { .columns = 8, .right = 0xfc, .drop = (const int[]){ 7, 6, 4, -1 } };
	char a[32], b[32];

	app_print("%s: %s tokens to train on, %s held out, %u bytes each; a vocabulary of %u, tokenizer %.8s…\n",
	          s->path, human_count((double)train.tokens, a), human_count((double)valid.tokens, b), s->id_bytes,
	          s->vocabulary, s->tokenizer);
	for (size_t i = 0; i < sizeof(head) / sizeof(*head); i++)
		table_cell(&t, "%s", head[i]);
	for (size_t i = 0; i < s->n_sources; i++)
		for (int split = 0; split < SHARDS_SPLITS; split++)
			if (split == SHARDS_TRAIN || s->sources[i].split[split].documents)
				add_row(&t, &s->sources[i], split);
	print_table(&t, "  ");
}

/* --- the report --- */

static long long number(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static void say_cleaned(struct buf *out, const json_t *report)
{
	const json_t *c = json_object_get(report, "cleaned"), *f = json_object_get(report, "files");

	if (number(c, "bad_bytes"))
		sentence_add(out, "  %lld bytes of %lld documents are no UTF-8\n", number(c, "bad_bytes"),
		             number(c, "documents_with_bad_bytes"));
	if (number(c, "newlines") || number(c, "control_characters") || number(c, "normalized_documents"))
		sentence_add(out,
		             "  changed: %lld line ends, %lld control characters taken out, %lld documents "
		             "normalized\n",
		             number(c, "newlines"), number(c, "control_characters"), number(c, "normalized_documents"));
	if (number(report, "cut_texts"))
		sentence_add(out, "  %lld texts were too long and go on as another document\n",
		             number(report, "cut_texts"));
	if (number(report, "unknown_tokens"))
		sentence_add(out, "  %lld tokens are of what the tokenizer does not know\n",
		             number(report, "unknown_tokens"));
	if (number(f, "damaged"))
		sentence_add(out, "  %lld files are damaged gzip: what came before is taken\n", number(f, "damaged"));
	if (number(f, "left_out"))
		sentence_add(out, "  %lld files are tables or no text and left out, %s among them\n",
		             number(f, "left_out"),
		             json_string_value(json_array_get(json_object_get(f, "examples"), 0)));
}

static void say_languages(struct buf *out, const json_t *report)
{
	struct buf line = BUF_INIT;
	const char *code;
	json_t *n;

	json_object_foreach (json_object_get(report, "languages"), code, n)
		buf_addf(&line, "%s%s %lld", line.len ? ", " : "", code, (long long)json_integer_value(n));
	if (line.len)
		buf_addf(out, "  languages: %s\n", buf_str(&line));
	buf_release(&line);
}

/* Its beginning, white space as one space. */
static void add_beginning(struct buf *out, const char *s, size_t n)
{
	struct buf line = BUF_INIT;

	for (size_t i = 0; i < n; i++) {
		bool space = strchr(" \t\r\n", s[i]) && s[i];
		if (!space)
			buf_addc(&line, s[i]);
		else if (line.len && line.data[line.len - 1] != ' ')
			buf_addc(&line, ' ');
	}
	term_text(out, buf_str(&line), term_fit(buf_str(&line), line.len, EXAMPLE));
	buf_release(&line);
}

static void show_example(struct buf *out, const json_t *x)
{
	struct buf text = BUF_INIT;
	const json_t *j = json_object_get(x, "text");

	add_beginning(&text, json_string_value(j), json_string_length(j));
	buf_addf(out, "    %s:%lld", json_string_value(json_object_get(x, "file")), number(x, "line"));
	if (json_is_number(json_object_get(x, "value")))
		buf_addf(out, "  %g", json_number_value(json_object_get(x, "value")));
	if (json_is_string(json_object_get(x, "is")))
		buf_addf(out, "  %s", json_string_value(json_object_get(x, "is")));
	buf_addf(out, "  %s\n", buf_str(&text));
	buf_release(&text);
}

void corpus_view_report(struct buf *out, const json_t *report, size_t show)
{
	const json_t *removed = json_object_get(report, "removed"), *x, *one;
	size_t i, k;

	sentence_add(out, "  %lld of %lld documents are kept\n", number(report, "kept"), number(report, "documents"));
	say_cleaned(out, report);
	say_languages(out, report);
	json_array_foreach ((json_t *)removed, i, x) {
		char bytes[32], lines[48] = "";
		if (json_object_get(x, "lines"))
			snprintf(lines, sizeof(lines), ", %lld lines", number(x, "lines"));
		sentence_add(out, "  left out by %s: %lld documents%s, %s\n",
		             json_string_value(json_object_get(x, "by")), number(x, "documents"), lines,
		             human_bytes((size_t)number(x, "bytes"), bytes));
		json_array_foreach (json_object_get(x, "examples"), k, one)
			if (k < show)
				show_example(out, one);
	}
}

void corpus_view_print(const json_t *report, size_t show)
{
	struct buf out = BUF_INIT;

	corpus_view_report(&out, report, show);
	app_print("%s", buf_str(&out));
	buf_release(&out);
}
