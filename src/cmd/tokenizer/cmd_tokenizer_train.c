/* tokenizer train: a tokenizer made from files of text, as a folder that transformers and this program read. What each
 * kind does and its options are its row's (token/train.h). */
#include <string.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/human.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/metering.h"
#include "cmd/model_writing.h"
#include "corpus/training_texts.h"
#include "token/train.h"

extern const struct command cmd_tokenizer_train;

struct train {
	struct common common;
	const char *out, *model_type, *text_column, *end_of_text, *scratch;
	int64_t vocab_size;
	size_t memory;
	struct opt_list special;
	void **options;
};

static const struct opt train_opts[] = {
	OPT_GROUP("What is trained"),
	OPT_STRING("out", struct train, out, NULL, "DIR", "tokenizer.json and tokenizer_config.json are written there"),
	OPT_PICK("model-type", struct train, model_type, token_trainer_rows, "the kind of tokenizer"),
	OPT_INT("vocab-size", struct train, vocab_size, "16384", 1, (1 << 24) - 1,
	        "entries, with special tokens and the alphabet"),
	OPT_LIST("special-tokens", struct train, special, "TOKEN", "gets one of the first ids"),
	OPT_STRING("end-of-text", struct train, end_of_text, NULL, "TOKEN",
	           "ends a document; \"\": none (default: " TRAIN_END_OF_TEXT ", or the kind's own)"),
	OPT_STRING("text-column", struct train, text_column, "text", "NAME", "of rows in JSON, what is read"),
	OPT_ROWS("model-type", struct train, options, token_trainer_rows),
	OPT_GROUP("How"),
	OPT_BYTES("memory", struct train, memory, NULL, "words beyond so much go through files, as 2GB"),
	OPT_STRING("scratch", struct train, scratch, "/tmp", "DIR", "where these files are, until the end"),
	COMMON_OPTS(struct train, common),
	OPT_END
};

/* --- while it runs --- */

struct watch {
	const char *what;
	double began, told;
};

/* Bytes while texts are read, entries while the vocabulary grows: a rate and the time that is left. */
static void progress(void *ctx, const char *what, uint64_t done, uint64_t all)
{
	struct watch *w = ctx;
	double now = clock_seconds();
	char left[32] = "", amount[32];

	if (w->what != what)
		*w = (struct watch){ what, now, now };
	if (now - w->told < 0.2)
		return;
	w->told = now;
	if (done && all > done)
		clock_human((double)(all - done) / (double)done * (now - w->began), left);
	log_live("%s: %s%s%.0f%%%s%s%s  %s", what, human_count((double)done, amount), all ? ", " : "",
	         all ? 100.0 * (double)MIN(done, all) / (double)all : 0.0, left[0] ? ", " : "", left,
	         left[0] ? " left" : "", metering_live());
}

/* --- what came of it --- */

static void warn_of(const struct training_texts_report *r)
{
	if (r->left_out)
		log_warn("%s is no text%s; %llu files are left out", r->first_left_out,
		         r->left_out > 1 ? ", as others" : "", (unsigned long long)r->left_out);
	if (r->no_column)
		log_warn("%s has no text in its column; %llu rows are left out", r->first_no_column,
		         (unsigned long long)r->no_column);
	if (r->mended)
		log_warn("%llu texts had bytes that are no UTF-8, which are U+FFFD now", (unsigned long long)r->mended);
	if (r->damaged)
		log_warn("%s: its gzip data end early; %llu files do", r->first_damaged,
		         (unsigned long long)r->damaged);
}

static void report(const struct app *app, const struct train *o, const struct token_train_report *r,
                   const struct training_texts_report *in)
{
	char texts[32], bytes[32], words[32];

	warn_of(in);
	if (r->entries < (uint64_t)o->vocab_size)
		log_warn("the texts give %llu entries, %lld were wanted", (unsigned long long)r->entries,
		         (long long)o->vocab_size);
	app_print("%s: %s, %llu entries, %llu merges\n", o->out, o->model_type, (unsigned long long)r->entries,
	          (unsigned long long)r->merges);
	app_print("from %s of text in %s documents, %s distinct words\n", human_bytes(r->bytes, bytes),
	          human_count((double)r->texts, texts), human_count((double)r->distinct, words));
	app_summary(app, json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "out", o->out, "model_type",
	                           o->model_type, "entries", (json_int_t)r->entries, "merges", (json_int_t)r->merges,
	                           "texts", (json_int_t)r->texts, "bytes", (json_int_t)r->bytes, "words",
	                           (json_int_t)r->words, "distinct_words", (json_int_t)r->distinct, "spilled_bytes",
	                           (json_int_t)r->spilled, "skipped_texts", (json_int_t)r->skipped, "mended_texts",
	                           (json_int_t)in->mended, "left_out", (json_int_t)(in->left_out + in->no_column)));
}

static int save(const struct tokenizer *made, const char *out, struct err *e)
{
	struct folder f;

	if (folder_begin(&f, out, e))
		return -1;
	if (tokenizer_save(made, f.beside, e)) {
		folder_abort(&f);
		return -1;
	}
	return folder_place(&f, e);
}

static int train(struct app *app, const struct train *o, struct training_texts *texts, struct err *e)
{
	struct watch w = { 0 };
	struct opt_row row;
	size_t k;
	struct token_training t = { .vocab_size = (size_t)o->vocab_size,
		                    .special = o->special.items,
		                    .n_special = o->special.n,
		                    .memory = o->memory,
		                    .scratch = o->scratch,
		                    .pool = app->pool,
		                    .progress = progress,
		                    .progress_ctx = &w };
	struct token_texts source = training_texts_source(texts);
	struct token_train_report r;

	if (!opt_row_find(token_trainer_rows, o->model_type, &row, &k))
		BUG("no row %s", o->model_type);
	t.end_of_text = !o->end_of_text ? token_trainer_table[k]->end_of_text : *o->end_of_text ? o->end_of_text : NULL;
	struct tokenizer *made =
		token_train(o->model_type, &t, opt_row_options(token_trainer_rows, o->options, o->model_type), &source,
	                    &r, e);
	log_live_end();
	int status = made ? save(made, o->out, e) : -1;
	tokenizer_free(made);
	if (status)
		return -1;
	metering_out("tokenizer", o->out);
	report(app, o, &r, training_texts_report(texts));
	return EXIT_DONE;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct train *o = options;
	struct training_texts *texts = NULL;

	app_catch_signals();
	if (!o->out)
		return app_usage(&cmd_tokenizer_train, "--out DIR was wanted");
	if (output_folder_free(o->out, e) ||
	    training_texts_open(&texts, p->positional, p->n_positional, o->text_column, e))
		return -1;
	for (size_t i = 0; i < p->n_positional; i++)
		metering_in("data", p->positional[i], NULL);
	int status = train(app, o, texts, e);
	training_texts_close(texts);
	return status;
}

const struct command cmd_tokenizer_train = {
	.name = "tokenizer train",
	.summary = "a tokenizer from texts: byte-level BPE and others, as tokenizers and SentencePiece train them",
	.usage = "FILE|DIR… --out DIR [options]",
	.example = "kungfu tokenizer train corpus --out tokenizer",
	.brief = "a tokenizer from texts",
	.order = 33,
	.opts = train_opts,
	.options_size = sizeof(struct train),
	.least = 1,
	.most = SIZE_MAX,
	.wanted = "files or folders of text were wanted",
	.run = run,
};
