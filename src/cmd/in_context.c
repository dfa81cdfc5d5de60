/* in_context: instructions and examples from options. See in_context.h. */
#include "cmd/in_context.h"

#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/metering.h"

enum {
	VECTOR_TOKENS = 2048,       /* computed at once */
	PRICED_ROWS = 100,          /* of which the price is told */
};

bool in_context_wanted(const struct in_context_options *o)
{
	return o->instruction.n || o->num || o->examples || o->prompt;
}

const char *in_context_contradiction(const struct in_context_options *o)
{
	if (o->prompt && (o->instruction.n || o->num || o->examples))
		return "--fewshot-prompt has instruction and examples already";
	if (o->num && !o->examples)
		return "--num-fewshot goes with --examples FILE, rows with their answers";
	if (!o->num && o->examples)
		return "--examples goes with --num-fewshot N, how many stand before each row";
	return NULL;
}

char *in_context_text(const char *option, const char *text, struct err *e)
{
	struct buf bytes = BUF_INIT;
	bool file = text[0] == '@' && text[1];
	size_t bad;

	if (!file)
		buf_adds(&bytes, text);
	else if (io_read(&bytes, text + 1, e) < 0)
		return NULL;
	if (!utf8_valid(buf_str(&bytes), bytes.len, &bad) || memchr(buf_str(&bytes), 0, bytes.len)) {
		err_set(e, "--%s%s%s: not a text in UTF-8", option, file ? " " : "", file ? text : "");
		buf_release(&bytes);
		return NULL;
	}
	buf_addc(&bytes, 0);
	return buf_detach(&bytes, NULL);
}

static int read_instructions(struct in_context *c, struct err *e)
{
	c->n_instructions = MAX(c->o->instruction.n, (size_t)1);
	c->instructions = mem_array(c->n_instructions, sizeof(*c->instructions));
	for (size_t i = 0; i < c->o->instruction.n; i++)
		if (!(c->instructions[i] = in_context_text("instruction", c->o->instruction.items[i], e)))
			return -1;
	return 0;
}

static int show_vectors(void *ctx, size_t done, size_t total)
{
	const struct in_context *c = ctx;

	metering_tick();
	if (clock_seconds() - c->began > 2)
		log_live("vectors of %zu of %zu texts  %s", done, total, metering_live());
	return metering_over();
}

static int embed(void *ctx, const char *const *texts, size_t n, float *out, struct err *e)
{
	return text_vectors_make(ctx, texts, n, out, e);
}

/* What makes vectors, where they are wanted. */
static int open_embedder(struct in_context *c, struct err *e)
{
	enum fewshot_select s = (enum fewshot_select)fewshot_select_of(c->o->select);
	bool near = s == FEWSHOT_DIVERSE || fewshot_order_of(c->o->order) == FEWSHOT_SIMILAR_LAST;
	struct loaded *l = c->o->embedder ? &c->embedder : c->model;

	if (s != FEWSHOT_EMBEDDING && !(near && c->o->embedder))
		return 0;
	if (c->o->embedder) {
		if (loaded_open(l, c->o->embedder, NULL, e) < 0)
			return -1;
		c->has_embedder = true;
		if (model_prepare(&l->model, c->app->pool, compute_from_name("f32", c->app->kernels), PREPARE_SCORE,
		                  e) < 0 ||
		    model_tokenizer_whole(&l->model, e) < 0)
			return -1;
	}
	c->began = clock_seconds();
	c->vectors = (struct text_vectors){ .model = &l->model, .overlay = loaded_overlay(l),
		                            .device = c->app->device, .max_tokens = VECTOR_TOKENS,
		                            .dry = c->app->plans, .progress = show_vectors, .ctx = c };
	c->how = (struct fewshot_embedder){ (size_t)l->model.config.C, embed, &c->vectors };
	return 0;
}

int in_context_open(struct in_context *c, const struct in_context_options *o, struct app *app, struct loaded *model,
                    bool chat, bool asks, struct err *e)
{
	*c = (struct in_context){ .o = o, .app = app, .model = model, .chat = chat, .asks = asks };
	if (read_instructions(c, e) < 0)
		return -1;
	if (chat && (o->target_delimiter || o->delimiter))
		log_warn("--%s is of examples as text: a chat template writes them",
		         o->target_delimiter ? "target-delimiter" : "fewshot-delimiter");
	if (o->prompt && !(c->saved = jsonx_load_file(o->prompt, e)))
		return -1;
	if (!o->num)
		return 0;
	if (rows_load(&c->examples, o->examples, e) < 0)
		return -1;
	metering_in("examples", o->examples, c->examples.hash);
	return open_embedder(c, e);
}

int in_context_make(struct in_context *c, size_t instruction, uint64_t shuffle, const struct rows *examples,
                    struct fewshot **f, struct err *e)
{
	struct fewshot_options o = { .instruction = c->instructions[instruction],
		                     .num = (size_t)c->o->num,
		                     .select = (enum fewshot_select)fewshot_select_of(c->o->select),
		                     .order = (enum fewshot_order)fewshot_order_of(c->o->order),
		                     .seed = (uint64_t)c->o->seed,
		                     .shuffle = shuffle,
		                     .delimiter = c->o->delimiter,
		                     .target_delimiter = c->o->target_delimiter,
		                     .chat = c->chat,
		                     .template_ = c->model->chat != NULL,
		                     .asks = c->asks,
		                     .embedder = c->how.embed ? &c->how : NULL };

	if (!c->saved)
		return fewshot_new(f, examples ? examples : &c->examples, &o, e);
	if (fewshot_load(f, c->saved, &o, e) < 0)
		return err_prefix(e, "--fewshot-prompt %s", c->o->prompt);
	return 0;
}

/* Tokens of the questions of the first n rows. */
static int count_questions(const struct in_context *c, const struct rows *rows, size_t n, double *tokens,
                           struct err *e)
{
	const struct text_codec codec = { c->model->model.tokenizer, c->model->chat };
	struct document_options o = { .max_length = INT32_MAX, .apply_chat_template = c->chat, .eval_choices = true };
	struct rows some = *rows;
	struct documents d;
	const struct document *last = NULL;

	some.n = n;
	*tokens = 0;
	if (documents_make(&d, &some, &codec, &o, e) < 0)
		return -1;
	for (size_t i = 0; i < d.n; last = &d.items[i++]) {
		const struct document *x = &d.items[i];
		int32_t end = x->n;
		if (last && last->line == x->line && !strcmp(last->file, x->file)) /* another choice of the row */
			continue;
		while (end && x->learn[end - 1])
			end--;
		*tokens += end;
	}
	documents_release(&d);
	return 0;
}

int in_context_price(const struct in_context *c, const struct rows *plain, const struct rows *made, double *tokens,
                     struct err *e)
{
	size_t n = MIN(plain->n, (size_t)PRICED_ROWS);
	double without, with;

	if (count_questions(c, plain, n, &without, e) < 0 || count_questions(c, made, n, &with, e) < 0)
		return -1;
	*tokens = (with - without) / (double)n;
	return 0;
}

void in_context_predict(const struct in_context *c, struct predicted *p)
{
	if (!c->vectors.dry || !(c->vectors.seconds > 0))
		return;
	predict_phase(p, "vectors", c->vectors.seconds);
	p->flops += c->vectors.flops - c->vectors.int_ops;
	p->int_ops += c->vectors.int_ops;
}

void in_context_close(struct in_context *c)
{
	for (size_t i = 0; i < c->n_instructions; i++)
		mem_free(c->instructions[i]);
	mem_free(c->instructions);
	rows_release(&c->examples);
	json_decref(c->saved);
	if (c->has_embedder)
		loaded_close(&c->embedder);
}
