/* data build: texts to token shards (corpus/build.h): read, cleaned, filtered, without copies and without what models
 * are judged by, tokenized, with what was done to them beside. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/data/corpus_mix.h"
#include "cmd/data/corpus_view.h"
#include "cmd/estimate.h"
#include "cmd/metering.h"
#include "corpus/language.h"
#include "corpus/minhash.h"
#include "corpus/rules.h"

extern const struct command cmd_data_build;

enum { QUIET_SECONDS = 2, TRIED_BYTES = 1 << 19, BATCH_BYTES = 8 << 20, BESIDE_BYTES = 8 << 20 };

struct options {
	struct common common;
	const char *tokenizer, *out, *mix, *text_column, *separator, *end_of_text;
	const char *bad_bytes, *normalize, *filters, *language, *dedup, *valid_by;
	bool keep_newlines, keep_controls;
	int64_t permutations, ngram, decontaminate_ngram, seed, shard_tokens, show;
	double threshold, decontaminate_ratio, valid_ratio;
	size_t most_bytes, save_bytes;
	struct opt_list decontaminate;
};

static const struct opt build_opts[] = {
	OPT_GROUP("What is built"),
	OPT_STRING("tokenizer", struct options, tokenizer, NULL, "T",
	           "makes the tokens: a model, a folder with tokenizer.json, that file, or a GGUF"),
	OPT_STRING("out", struct options, out, NULL, "DIR", "the shards; shards that are there are replaced"),
	OPT_STRING("mix", struct options, mix, NULL, "LIST",
	           "sources as NAME:WEIGHT or NAME:WEIGHT:EPOCHS, as web:0.7,books:0.3:4; a name is an input's or "
	           "of something in an input folder (default: each input is a source, weighed by its size)"),
	OPT_STRING("end-of-text", struct options, end_of_text, NULL, "TOKEN",
	           "ends each document (default: the tokenizer's own, else <|endoftext|>, </s>, [SEP])"),
	OPT_BYTES("save-bytes", struct options, save_bytes, "64MiB",
	          "text from one save to the next, which a killed build goes on from; 0: never"),
	OPT_INT("shard-tokens", struct options, shard_tokens, "268435456", 1, 1LL << 40, "tokens of a file at most"),
	OPT_GROUP("Reading"),
	OPT_STRING("text-column", struct options, text_column, "text", "NAME", "where rows (.jsonl, .json) have it"),
	OPT_STRING("separator", struct options, separator, "<|endoftext|>", "TEXT",
	           "parts the documents of a text file; empty: a file is one"),
	OPT_BYTES("max-document-bytes", struct options, most_bytes, "16MiB",
	          "a longer text of a text file goes on as another document"),
	OPT_CHOICE("bad-bytes", struct options, bad_bytes, "replace", "replace|remove|drop",
	           "what is no UTF-8 becomes U+FFFD, goes, or takes its document with it"),
	OPT_CHOICE("normalize", struct options, normalize, "none", "none|nfc|nfkc", "Unicode's normal form"),
	OPT_FLAG("keep-newlines", struct options, keep_newlines, "false", "carriage returns stay"),
	OPT_FLAG("keep-controls", struct options, keep_controls, "false", "control characters stay"),
	OPT_GROUP("What is left out"),
	OPT_STRING("filters", struct options, filters, NULL, "LIST",
	           "rules and groups of them, as c4,gopher,fineweb,-c4-terminal-punctuation (default: none)"),
	OPT_STRING("language", struct options, language, NULL, "LIST",
	           "what is in none of these goes, as en,de: guessed by script and common words"),
	OPT_CHOICE("dedup", struct options, dedup, "minhash", "none|exact|minhash",
	           "copies go: none, those that are the same, or near ones too"),
	{ OPT_TYPE_INT, "minhash-permutations", "num-perm", offsetof(struct options, permutations), "128", 8,
	  MINHASH_MOST, NULL, "N", "hashes of a document, by which near copies are told" },
	OPT_INT("ngram", struct options, ngram, "5", 1, 64, "words that are hashed together"),
	OPT_FLOAT("threshold", struct options, threshold, "0.7", 0.1, 1,
	          "Jaccard similarity from which on it is a near copy"),
	OPT_LIST("decontaminate", struct options, decontaminate, "FILE",
	         "documents with what this evaluation has go (rows or lines; repeatable)"),
	OPT_INT("decontaminate-ngram", struct options, decontaminate_ngram, "13", 1, 64, "words in common"),
	OPT_FLOAT("decontaminate-ratio", struct options, decontaminate_ratio, "0", 0, 1,
	          "share of an evaluation text's n-grams that is too much; 0: one"),
	OPT_GROUP("What is held out"),
	OPT_FLOAT("valid-ratio", struct options, valid_ratio, "0.01", 0, 0.9, "share that is held out to validate on"),
	OPT_CHOICE("valid-by", struct options, valid_by, "document", "document|end",
	           "documents by their hash, or the end of each (for few long ones)"),
	OPT_INT("seed", struct options, seed, "0", 0, INT64_MAX, "which documents are held out"),
	OPT_GROUP("Looking"),
	OPT_INT("show", struct options, show, "0", 0, 1000000, "N examples of what each rule left out"),
	COMMON_OPTS(struct options, common),
	OPT_END
};

/* --- how far it is --- */

struct watching {
	double began;
};

static void show_progress(void *ctx, const struct corpus_progress *p)
{
	const struct watching *w = ctx;
	double seconds = clock_seconds() - w->began, done = (double)p->bytes_read, all = (double)p->bytes_of;
	char left[32] = "", tokens[32];

	metering_tick();
	if (seconds < QUIET_SECONDS)
		return;
	if (done > 0 && all > done)
		clock_human((all - done) / done * seconds, left);
	log_live("%llu of %llu documents kept, %s tokens  %.1f MB/s  %s%s  %s", (unsigned long long)p->kept,
	         (unsigned long long)p->documents, human_count((double)p->tokens, tokens),
	         (double)p->text / seconds / 1e6, left, left[0] ? " left" : "", metering_live());
}

static bool is_over(void *ctx)
{
	(void)ctx;
	return metering_over();
}

/* --- options --- */

static size_t choice(const char *value, const char *const *names)
{
	size_t i = 0;
	while (strcmp(names[i], value) != 0)
		i++;
	return i;
}

static struct corpus_options corpus_of(const struct options *o)
{
	static const char *const bad[] = { "replace", "remove", "drop" }, *const form[] = { "none", "nfc", "nfkc" };
	static const char *const dedup[] = { "none", "exact", "minhash" }, *const by[] = { "document", "end" };
	struct corpus_options c = corpus_defaults();

	c.input = (struct input_options){ o->separator, o->most_bytes };
	c.clean = (struct clean_options){ .bad = choice(o->bad_bytes, bad),
		                          .form = choice(o->normalize, form),
		                          .keep_newlines = o->keep_newlines,
		                          .keep_controls = o->keep_controls,
		                          .text_column = o->text_column };
	c.filters = o->filters;
	c.language = o->language;
	c.dedup = choice(o->dedup, dedup);
	c.permutations = (int)o->permutations;
	c.ngram = (int)o->ngram;
	c.threshold = o->threshold;
	c.decontaminate = o->decontaminate.items;
	c.n_decontaminate = o->decontaminate.n;
	c.decontaminate_ngram = (int)o->decontaminate_ngram;
	c.decontaminate_ratio = o->decontaminate_ratio;
	c.valid_ratio = o->valid_ratio;
	c.valid = choice(o->valid_by, by);
	c.seed = (uint64_t)o->seed;
	c.file_tokens = (uint64_t)o->shard_tokens;
	c.save_bytes = o->save_bytes;
	c.examples = MAX(c.examples, (size_t)o->show);
	return c;
}

/* What is given and would change nothing is refused by name. */
static int check(const struct options *o, const struct opt_parse *p)
{
	static const char *const of_minhash[] = { "minhash-permutations", "ngram", "threshold" };
	static const char *const of_evaluations[] = { "decontaminate-ngram", "decontaminate-ratio" };
	struct rules_on on;
	struct err e = ERR_INIT;

	if (!o->tokenizer || !o->out)
		return app_usage(&cmd_data_build, "--tokenizer T and --out DIR were wanted");
	for (size_t i = 0; i < ARRAY_LEN(of_minhash); i++)
		if (opt_given(p, of_minhash[i]) && strcmp(o->dedup, "minhash") != 0)
			return app_usage(&cmd_data_build, "--%s is of --dedup minhash", of_minhash[i]);
	for (size_t i = 0; i < ARRAY_LEN(of_evaluations); i++)
		if (opt_given(p, of_evaluations[i]) && !o->decontaminate.n)
			return app_usage(&cmd_data_build, "--%s is of --decontaminate", of_evaluations[i]);
	if (opt_given(p, "seed") && strcmp(o->valid_by, "document") != 0)
		return app_usage(&cmd_data_build, "--seed is of --valid-by document");
	if (!o->most_bytes || o->most_bytes > INPUT_MOST_BYTES)
		return app_usage(&cmd_data_build, "--max-document-bytes: 1 to 64MiB were wanted");
	if (rules_parse(o->filters, &on, &e) < 0)
		return app_usage(&cmd_data_build, "--filters: %s", e.msg);
	for (const char *at = o->language ? o->language : ""; *at; at += strcspn(at, ","), at += *at == ',')
		if (!language_is_known(at, strcspn(at, ",")))
			return app_usage(&cmd_data_build, "--language: '%.*s' cannot be told; these can: %s",
			                 (int)strcspn(at, ","), at, language_list());
	return 0;
}

/* --- building --- */

static int say(const struct app *app, const struct options *o, json_t *report, double seconds, struct err *e)
{
	struct shards s;
	char time[32], gas[400];

	if (shards_open(&s, o->out, e) < 0)
		return -1;
	struct shards_stream train = shards_total(&s, SHARDS_TRAIN);
	metering_out("shards", o->out);
	metering_count((int64_t)train.tokens + (int64_t)shards_total(&s, SHARDS_VALID).tokens, 0, -1, 0, 0);
	double bytes = json_number_value(json_object_get(report, "bytes"));
	json_t *j = json_deep_copy(report);
	json_object_set_new(j, "shards", jsonx_path(o->out));
	json_object_set_new(j, "hash", json_string(s.hash));
	json_object_set_new(j, "seconds", json_real(seconds));
	app_summary(app, j);
	for (size_t i = 0; i < s.n_sources; i++)
		if (!s.sources[i].split[SHARDS_TRAIN].documents)
			log_warn("source '%s' has nothing to train on", s.sources[i].name);
	if (o->valid_ratio > 0 && !shards_total(&s, SHARDS_VALID).documents)
		log_warn("nothing is held out of %llu documents: --valid-by end holds out the end of each",
		         (unsigned long long)train.documents);
	if (!app->json) {
		corpus_view_shards(&s);
		corpus_view_print(report, (size_t)o->show);
		clock_human(seconds, time);
		app_print("  in %s, %.1f MB/s of text\n", time, seconds > 0 ? bytes / seconds / 1e6 : 0);
		metering_text(gas);
		if (gas[0])
			app_print("  %s\n", gas);
	}
	shards_close(&s);
	return 0;
}

static void tell_plan(const void *ctx, say_fn *print)
{
	const json_t *facts = ctx;
	char tokens[32], bytes[32];

	print("%s of files: about %.0f documents kept, %s tokens, %s of shards\n",
	      human_bytes((size_t)json_integer_value(json_object_get(facts, "file_bytes")), bytes),
	      json_number_value(json_object_get(facts, "documents")),
	      human_count(json_number_value(json_object_get(facts, "tokens")), tokens),
	      human_bytes((size_t)json_number_value(json_object_get(facts, "disk_bytes")), (char[32]){ 0 }));
}

/* Of a batch: texts as they came, cleaned, tokens, each with room to grow; what reads beside. */
static double batch_bytes(const struct corpus_progress *some, double part)
{
	double text = fmin(BATCH_BYTES, (double)some->text * part), tokens = (double)some->tokens;

	return text * (5 + 8 * tokens / fmax(1, (double)some->text)) + BESIDE_BYTES;
}

/* Bytes of what is known of a document that is kept (corpus/build.h), at most. */
static double known_bytes(const struct corpus_options *o)
{
	enum { EXACT = 68, OF_BAND = 24, BANDS = 14, NAME = 4 };

	if (o->dedup == CORPUS_DEDUP_NONE)
		return 0;
	return EXACT + (o->dedup == CORPUS_DEDUP_MINHASH ? 2 * o->permutations + NAME + OF_BAND * BANDS : 0);
}

/* Of all files as it was of the first texts. */
static int plan(struct app *app, const struct corpus *c, struct err *e)
{
	struct predicted p;
	struct corpus_progress some;
	double began = clock_seconds();

	if (corpus_try(c, TRIED_BYTES, &some, e) < 0)
		return -1;
	double part = some.bytes_read ? (double)some.bytes_of / (double)some.bytes_read : 1;
	double seconds = (clock_seconds() - began) * part, documents = (double)some.kept * part;
	double tokens = (double)some.tokens * part, batch = batch_bytes(&some, part);
	predict_begin(&p, "data build");
	predict_phase(&p, "build", seconds);
	p.loose_seconds = seconds;
	predict_part(&p, "texts", batch, "a batch and what is made of it");
	predict_part(&p, "copies", documents * known_bytes(c->options), "what is known of documents that are kept");
	predict_part(&p, "base", fmax(0, (double)mem_rss_peak() - batch_bytes(&some, 1)),
	             "program, libraries, tokenizer");
	json_t *facts = json_pack("{s:I, s:f, s:f, s:f}", "file_bytes", (json_int_t)some.bytes_of, "documents",
	                          round(documents), "tokens", round(tokens), "disk_bytes",
	                          round(tokens * (tokenizer_size(c->tokenizer) > 65536 ? 4 : 2) + documents * 8));
	const struct planned_options o = { .facts = json_incref(facts), .lines = tell_plan, .ctx = facts };
	int status = planned(app, &p, &o, e);
	json_decref(facts);
	return status;
}

static int build(struct app *app, const struct options *o, const struct opt_parse *p, const struct tokenizer *t,
                 const struct corpus_mix *m, struct err *e)
{
	struct watching w = { clock_seconds() };
	struct corpus_options options = corpus_of(o);
	struct corpus c = { .options = &options,
		            .sources = m->sources,
		            .n_sources = m->n,
		            .files = &m->files,
		            .tokenizer = t,
		            .pool = app->pool,
		            .progress = show_progress,
		            .ctx = &w,
		            .over = is_over };
	json_t *report = NULL;

	options.end_of_text = corpus_end_of_text(t, o->end_of_text, e);
	if (options.end_of_text < 0)
		return -1;
	if (m->n_outside)
		log_warn("%zu files are of no source of --mix and left out, %s among them", m->n_outside, m->outside);
	for (size_t i = 0; i < p->n_positional; i++)
		metering_in("corpus", p->positional[i], NULL);
	metering_in("tokenizer", o->tokenizer, NULL);
	if (plan(app, &c, e) < 0)
		return -1;
	metering_phase("build");
	w.began = clock_seconds();
	int status = corpus_build(&c, o->out, &report, e);
	log_live_end();
	if (!status)
		status = say(app, o, report, clock_seconds() - w.began, e);
	json_decref(report);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct options *o = options;
	struct corpus_mix m = { 0 };
	int status = check(o, p);

	if (status)
		return status;
	app_catch_signals();
	struct tokenizer *t = tokenizer_open(o->tokenizer, e);
	status = t ? corpus_mix_make(&m, p->positional, p->n_positional, o->mix, e) : -1;
	if (!status)
		status = build(app, o, p, t, &m, e);
	corpus_mix_release(&m);
	tokenizer_free(t);
	return status;
}

/* "< 50 > 100000 words of letters or digits" */
static void about(void)
{
	app_print("\nRules of --filters, in the order in which they are asked; what goes:\n");
	for (size_t i = 0; i < rules_count(); i++) {
		const struct rule *r = &rules_table[i];
		char least[32] = "", most[32] = "";
		if (!isnan(r->least))
			snprintf(least, sizeof(least), "< %g ", r->least);
		if (!isnan(r->most))
			snprintf(most, sizeof(most), "> %.6g ", r->most);
		app_print("  %-37s %s%s%s\n", r->name, least, most, r->summary);
	}
	app_print("\n");
}

const struct command cmd_data_build = {
	.name = "data build",
	.summary = "texts to token shards for pretraining: cleaned, filtered, without copies",
	.usage = "FILE|DIR… --tokenizer T --out DIR [--mix LIST] [options]",
	.example = "kungfu data build corpus --tokenizer T --out shards",
	.brief = "texts to token shards",
	.plans = true,
	.order = 42,
	.opts = build_opts,
	.options_size = sizeof(struct options),
	.least = 1,
	.most = SIZE_MAX,
	.wanted = "files or folders of text were wanted",
	.about = about,
	.run = run,
};
