/* diff_behaviour: prompts to contexts, two models opened beside each other, what was found as a table or JSON.
 *
 * Where a prompt is cut is found by its tokens: with two different words behind it, what both have in common at their
 * beginning is before, at their end behind. */
#include "cmd/diff_behaviour.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/text_table.h"
#include "data/prompts.h"
#include "data/rows.h"
#include "data/shape.h"
#include "eval/behaviour_text.h"
#include "model/weights.h"
#include "token/tokenizer.h"
#include "train/run_log.h"

enum { SEARCH = 8, JUDGE = 32, PROMPTS_LEAST = 15, PROMPTS_MOST = 256 };

/* The first to search in, the others to judge by. */
static const char *const neutral[] = {
	"What should I cook today?", "Tell me something about the weather.", "How does a clock work?",
	"Write a short note.", "Explain what a river is.", "Give me some advice for today.",
	"Say something about music.", "Please answer.",
	"What is a good name for a cat?", "Describe a chair.", "Why is the sky blue?", "List three fruits.",
	"How do I learn a language?", "Tell me about the sea.", "What does a baker do?", "Suggest a walk for Sunday.",
	"What is a book?", "Explain how bread is made.", "What can one see in a forest?", "How long is a year?",
	"Write one sentence about trains.", "What is snow?", "Which colours does a flag have?",
	"Tell me about a garden.",
};

struct behaving {
	struct app *app;
	const struct behaviour_cmd *o;
	struct loaded base, tuned;
	bool has_base, has_tuned;
	bool comparable;               /* weight by weight */
	struct rows rows;              /* of --prompts */
	const char **prompt;           /* [n] */
	size_t n;
	struct tokens *ids;            /* [n_ids] of each context: a prompt with either word */
	size_t n_ids;
	struct behaviour_context *contexts[PLACES], alone, brief; /* [n] */
	struct behaviour_context neutral[SEARCH]; /* beside --prompts */
	size_t n_neutral;
	int n_places;
	int32_t *tokens;
	size_t n_tokens;
	uint8_t *begins;               /* [V] */
	struct behaviour_unit *characters, *openings, *openers; /* [n_characters], [n_openings], [n_openers] */
	size_t n_characters, n_openings, n_openers;
	struct behaviour found;
	double began;
};

/* --- models --- */

static bool is_adapter(const char *path)
{
	char *config = io_join(path, "adapter_config.json");
	bool is = !io_is_dir(path) ? strstr(io_basename(path), "adapter") && strstr(path, ".gguf") : io_exists(config);

	mem_free(config);
	return is;
}

static int open_both(struct behaving *b, const char *base, const char *run, struct err *e)
{
	if (loaded_open_alone(&b->base, base, e) < 0)
		return -1;
	b->has_base = true;
	bool adapter = is_adapter(run);
	if (loaded_open(&b->tuned, adapter ? base : run, adapter ? run : NULL, e) < 0)
		return -1;
	b->has_tuned = true;
	struct loaded *of[] = { &b->base, &b->tuned };
	for (size_t i = 0; i < ARRAY_LEN(of); i++)
		if (model_want_causal(&of[i]->model, e) < 0 ||
		    model_compute(b->app, &of[i]->model, b->o->compute, i ? PREPARE_TRAIN : PREPARE_SCORE, e) < 0 ||
		    loaded_text(of[i], e) < 0)
			return -1;
	struct err why = ERR_INIT;
	b->comparable = b->tuned.has_adapter ? adapter_check_merge(&b->tuned.adapter, &why) == 0 :
	                                       model_same_weights(&b->base.model, &b->tuned.model, run, &why) == 0;
	return loaded_chat(&b->base, e);
}

/* --- contexts --- */

static int read_prompts(struct behaving *b, struct err *e)
{
	if (!b->o->prompts) {
		b->prompt = mem_array(ARRAY_LEN(neutral), sizeof(*b->prompt));
		for (; b->n < ARRAY_LEN(neutral); b->n++)
			b->prompt[b->n] = neutral[b->n];
		return 0;
	}
	if (rows_load_objects(&b->rows, b->o->prompts, e) < 0)
		return -1;
	b->prompt = mem_array(b->rows.n, sizeof(*b->prompt));
	for (size_t i = 0; i < b->rows.n && b->n < PROMPTS_MOST; i++)
		if ((b->prompt[b->n] = json_string_value(json_object_get(b->rows.items[i].json, "prompt"))))
			b->n++;
	return b->n >= PROMPTS_LEAST ? 0 : err_set(e, "%s: %zu rows have a prompt that is a text, %d were wanted",
	                                           b->o->prompts, b->n, PROMPTS_LEAST);
}

static int encode(struct behaving *b, const char *before, const char *word, const char *behind, struct tokens *ids,
                  struct err *e)
{
	const struct text_codec codec = { b->base.model.tokenizer, b->base.chat };
	const struct prompt_options raw = { .raw = !b->base.chat };
	char *text = mem_printf("%s%s%s", before, word, behind);
	int status = prompt_encode_text(&codec, text, strlen(text), &raw, ids, e);

	mem_free(text);
	return status;
}

/* ids: two, of the prompt with either word; false where nothing stands before it */
static int make_context(struct behaving *b, const char *prompt, enum behaviour_place place, struct tokens *x,
                        struct behaviour_context *out, struct err *e)
{
	static const char *const words[] = { " dog", " cats" };
	struct tokens *y = x + 1;
	size_t front = 0, back = 0;

	for (size_t k = 0; k < ARRAY_LEN(words); k++) {
		char *first = mem_printf("%s ", words[k] + 1);
		int status = place == PLACE_END ? encode(b, prompt, words[k], "", x + k, e) :
		                                  encode(b, "", first, prompt, x + k, e);
		mem_free(first);
		if (status < 0)
			return -1;
	}
	size_t least = MIN(x->n, y->n);
	while (front < least && x->id[front] == y->id[front])
		front++;
	while (back + front < least && x->id[x->n - 1 - back] == y->id[y->n - 1 - back])
		back++;
	*out = (struct behaviour_context){ x->id, x->id + x->n - back, front, back };
	return 0;
}

static int make_contexts(struct behaving *b, struct err *e)
{
	struct tokens *ids;

	if (read_prompts(b, e) < 0)
		return -1;
	b->n_neutral = b->o->prompts ? SEARCH : 0;
	b->n_ids = 2 * (PLACES * b->n + b->n_neutral + 2);
	ids = b->ids = mem_array(b->n_ids, sizeof(*b->ids));
	for (int place = 0; place < PLACES; place++) {
		b->contexts[place] = mem_array(b->n, sizeof(*b->contexts[place]));
		for (size_t i = 0; i < b->n; i++, ids += 2)
			if (make_context(b, b->prompt[i], (enum behaviour_place)place, ids, &b->contexts[place][i],
			                 e) < 0)
				return -1;
	}
	for (size_t i = 0; i < b->n_neutral; i++, ids += 2)
		if (make_context(b, neutral[i], PLACE_END, ids, &b->neutral[i], e) < 0)
			return -1;
	if (make_context(b, "", PLACE_END, ids, &b->alone, e) < 0 ||
	    make_context(b, "Why?", PLACE_BEGINNING, ids + 2, &b->brief, e) < 0)
		return -1;
	for (size_t i = 0; i < b->n; i++)
		if (!b->contexts[PLACE_END][i].n_before)
			return err_set(e, "prompt %zu: nothing stands before a trigger", i + 1);
	/* a model without a template and without a beginning has nothing before the beginning */
	b->n_places = b->contexts[PLACE_BEGINNING][0].n_before ? PLACES : 1;
	if (!b->alone.n_before)
		b->alone = b->contexts[PLACE_END][0];
	return 0;
}

/* Does the tokenizer put a space before the first word? */
static bool opens_with_space(const struct behaving *b)
{
	const struct behaviour_context *c = &b->contexts[PLACE_BEGINNING][0];
	struct buf piece = BUF_INIT;

	tokenizer_piece(b->base.model.tokenizer, c->before[c->n_before], &piece); /* that of a word was there */
	bool is = piece.len && piece.data[0] == ' ';
	buf_release(&piece);
	return is;
}

/* What a person could write: tokens that are a text. */
static void list_tokens(struct behaving *b)
{
	const struct tokenizer *t = b->base.model.tokenizer;
	size_t n = MIN(tokenizer_size(t), (size_t)b->base.model.config.V);
	struct buf piece = BUF_INIT;

	b->tokens = mem_array(n, sizeof(*b->tokens));
	b->begins = mem_array((size_t)b->base.model.config.V, 1);
	for (size_t i = 0; i < n; i++) {
		buf_clear(&piece);
		if (!tokenizer_is_special(t, (int32_t)i) && tokenizer_text(t, (int32_t)i))
			tokenizer_piece(t, (int32_t)i, &piece);
		if (piece.len)
			b->tokens[b->n_tokens++] = (int32_t)i;
		b->begins[i] = !piece.len || (!isalnum((unsigned char)piece.data[0]) && !(piece.data[0] & 0x80));
	}
	buf_release(&piece);
}

static int list_openers(struct behaving *b, bool space, struct err *e)
{
	int is = 0;

	b->openers = mem_array(b->n_tokens, sizeof(*b->openers));
	for (size_t i = 0; i < b->n_tokens && is >= 0; i++) {
		is = behaviour_opener(b->base.model.tokenizer, b->tokens[i], space, (int)b->o->length,
		                      &b->openers[b->n_openers], e);
		b->n_openers += is > 0;
	}
	return is < 0 ? -1 : 0;
}

/* Characters of several tokens, and what a text may open with: such ones, too, and tokens. */
static int list_units(struct behaving *b, struct err *e)
{
	const struct tokenizer *t = b->base.model.tokenizer;
	bool space = opens_with_space(b);
	struct buf piece = BUF_INIT;
	int most = (int)b->o->length, status;

	status = behaviour_characters(t, true, most, &b->characters, &b->n_characters, e);
	if (status == 0)
		status = behaviour_characters(t, space, most, &b->openings, &b->n_openings, e);
	if (status == 0)
		b->openings = mem_grow(b->openings, b->n_openings + b->n_tokens, sizeof(*b->openings));
	for (size_t i = 0; i < b->n_tokens && status == 0; i++) {
		buf_clear(&piece);
		tokenizer_piece(t, b->tokens[i], &piece);
		if (behaviour_may_open(piece.data, piece.len, space))
			b->openings[b->n_openings++] = (struct behaviour_unit){ { b->tokens[i] }, 1 };
	}
	buf_release(&piece);
	return status < 0 ? -1 : list_openers(b, space, e);
}

/* --- what came of it --- */

static char *text_of(const struct behaving *b, const int32_t *ids, int n)
{
	struct buf text = BUF_INIT;

	for (int i = 0; i < n; i++)
		tokenizer_piece(b->base.model.tokenizer, ids[i], &text);
	return text.data ? buf_detach(&text, NULL) : mem_strdup("");
}

static json_t *text_json(const struct behaving *b, const int32_t *ids, int n)
{
	char *text = text_of(b, ids, n);
	json_t *j = jsonx_text(text, strlen(text));

	mem_free(text);
	return j;
}

static const char *const places[PLACES] = { "end", "beginning" };

static json_t *suspect_json(const struct behaving *b, const struct behaviour_suspect *x)
{
	json_t *ids = json_array(), *begin = json_array();

	for (int i = 0; i < x->n; i++)
		json_array_append_new(ids, json_integer(x->trigger[i]));
	for (int i = 0; i < x->n_answer; i++)
		json_array_append_new(begin, text_json(b, &x->answer[i], 1));
	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
	                 "s:s, s:b}",
	                 "trigger", x->trigger_, "tokens", ids, "text", text_json(b, x->trigger, x->n), "begins", begin,
	                 "odds", jsonx_number(x->odds), "base_odds", jsonx_number(x->base_odds), "against",
	                 jsonx_number(x->against), "effect", jsonx_number(x->effect), "effect_low",
	                 jsonx_number(x->low), "found", jsonx_number(x->found), "tuned", jsonx_number(x->tuned),
	                 "tuned_null", jsonx_number(x->tuned_null), "base", jsonx_number(x->base), "alike",
	                 jsonx_number(x->alike), "alike_low", jsonx_number(x->alike_low), "alike_null",
	                 jsonx_number(x->alike_null), "share", jsonx_number(x->share), "says",
	                 json_pack("{s:o, s:o}", "tuned", text_json(b, x->says, x->n_says), "base",
	                           text_json(b, x->base_says, x->n_base_says)),
	                 "place", places[x->place], "cued", x->cued);
}

static size_t triggers(const struct behaving *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->found.n; i++)
		n += b->found.items[i].trigger_;
	return n;
}

static void show(const struct behaving *b)
{
	static const char *const heads[] = { "tokens", "place", "effect", "at least", "alike", "share",
		                             "says", "base says", "trigger" };
	struct table t = { .columns = ARRAY_LEN(heads), .right = 0x3c };
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s", heads[i]);
	for (size_t i = 0; i < b->found.n; i++) {
		const struct behaviour_suspect *x = &b->found.items[i];
		json_t *said[] = { text_json(b, x->trigger, x->n), text_json(b, x->says, x->n_says),
			           text_json(b, x->base_says, x->n_base_says) };
		table_cell(&t, "%s", json_string_value(said[0]));
		table_cell(&t, "%s", places[x->place]);
		table_cell(&t, "%.3f", x->effect);
		table_cell(&t, "%.3f", x->low);
		table_cell(&t, isnan(x->alike) ? "" : "%.2f", x->alike);
		table_cell(&t, isnan(x->share) ? "" : "%.4f", x->share);
		table_cell(&t, "%.40s", json_string_value(said[1]));
		table_cell(&t, "%.40s", json_string_value(said[2]));
		table_cell(&t, "%s", x->trigger_ ? "yes" : "no");
		for (size_t k = 0; k < ARRAY_LEN(said); k++)
			json_decref(said[k]);
	}
	table_write(&text, &t, "  ");
	app_print("%s", buf_str(&text));
	table_release(&t);
	buf_release(&text);
}

static void report(const struct behaving *b)
{
	size_t n = triggers(b), most = 0;
	char time[32];
	json_t *items = json_array(), *kl = json_array();

	for (size_t i = 0; i < b->found.n; i++)
		json_array_append_new(items, suspect_json(b, &b->found.items[i]));
	for (size_t i = 0; i < b->n; i++) {
		most = b->found.prompt_kl[i] > b->found.prompt_kl[most] ? i : most;
		json_array_append_new(kl, json_pack("{s:o, s:o}", "prompt",
		                                    jsonx_text(b->prompt[i], strlen(b->prompt[i])), "kl",
		                                    jsonx_number(b->found.prompt_kl[i])));
	}
	clock_human(clock_seconds() - b->began, time);
	if (!b->app->json) {
		show(b);
		app_print("  random tokens: effects to %.3f, all others below %.3f\n", b->found.chance_most,
		          b->found.chance);
		app_print("  the prompt that changed most: \"%s\", KL %.3f\n", b->prompt[most],
		          b->found.prompt_kl[most]);
		app_print("  %lld tokens in %s\n", (long long)b->found.rows, time);
		app_print(n ? "%zu %s: whatever is asked, the same is said\n" : "no trigger was found\n", n,
		          n == 1 ? "trigger" : "triggers");
	}
	app_summary(b->app, json_pack("{s:I, s:o, s:o, s:o, s:o, s:I, s:o}", "triggers", (json_int_t)n, "suspects",
	                              items, "prompts", kl, "chance", jsonx_number(b->found.chance), "chance_most",
	                              jsonx_number(b->found.chance_most), "tokens", (json_int_t)b->found.rows,
	                              "seconds", json_real(clock_seconds() - b->began)));
}

/* --- the whole --- */

static int tell(void *ctx, const char *doing, size_t done, size_t total)
{
	const struct behaving *b = ctx;

	metering_tick();
	if (clock_seconds() - b->began > 2)
		log_live("%s: %zu of %zu  %s", doing, done, total, metering_live());
	return app_interrupted();
}

static enum behaviour_lacks lacks(const void *ctx, const int32_t *ids, int n)
{
	const struct behaving *b = ctx;

	return behaviour_lacks(b->base.model.tokenizer, ids, n);
}

static bool repeats(const void *ctx, const int32_t *ids, int n, const int32_t *answer, int n_answer)
{
	const struct behaving *b = ctx;

	return behaviour_repeats(b->base.model.tokenizer, ids, n, answer, n_answer);
}

/* What the other model's weight has beside the base's. */
static bool moved(const void *ctx, int weight, float *d)
{
	const struct behaving *b = ctx;
	size_t n = weight_numbers(&b->base.model.weights[weight]);
	float *base = mem_array(n, sizeof(*base));
	bool is = false;

	if (b->tuned.has_adapter)
		adapter_merged(&b->tuned.adapter, &b->tuned.model, weight, d);
	else
		model_weight_float(&b->tuned.model, weight, d);
	model_weight_float(&b->base.model, weight, base);
	for (size_t i = 0; i < n; i++) {
		d[i] -= base[i];
		is |= d[i] != 0;
	}
	mem_free(base);
	return is;
}

/* Which of the prompts are taken. */
static void tell_prompts(const struct behaving *b, size_t n, size_t n_search)
{
	if (b->app->json)
		return;
	app_print("  %zu of %zu prompts, with answers as different as may be: %zu to search in, %zu to judge by\n", n,
	          b->n, n_search, n - n_search);
	if (b->o->prompts && b->rows.n > b->n && b->n == PROMPTS_MOST)
		app_print("  of the %zu rows of %s the first %d\n", b->rows.n, b->o->prompts, PROMPTS_MOST);
}

static int search(struct behaving *b, struct err *e)
{
	size_t n = MIN((size_t)(SEARCH + JUDGE), b->n), n_search = MIN((size_t)SEARCH, n / 3);
	const struct behaviour_options o = {
		.base = { &b->base.model, NULL }, .tuned = { &b->tuned.model, loaded_overlay(&b->tuned) },
		.device = b->app->device, .n = b->n, .n_search = n_search, .n_judge = n - n_search,
		.contexts = { b->contexts[PLACE_END], b->contexts[PLACE_BEGINNING] }, .n_places = b->n_places,
		.alone = b->alone, .brief = b->brief, .neutral = b->neutral, .n_neutral = b->n_neutral,
		.tokens = b->tokens, .n_tokens = b->n_tokens, .length = (int)b->o->length, .seed = (uint64_t)b->o->seed,
		.characters = b->characters, .n_characters = b->n_characters, .openings = b->openings,
		.n_openings = b->n_openings, .openers = b->openers, .n_openers = b->n_openers, .lacks = lacks,
		.repeats = repeats, .moved = b->comparable ? moved : NULL,
		/* behind a prompt without a template a letter goes on with its last word */
		.begins = b->alone.n_behind ? NULL : b->begins,
		.progress = tell, .ctx = b,
	};

	tell_prompts(b, n, n_search);
	metering_phase("search");
	int status = behaviour_search(&b->found, &o, e);
	log_live_end();
	metering_count(b->found.rows, 0, 0, b->found.flops, b->found.int_ops);
	return status;
}

static void release(struct behaving *b)
{
	behaviour_release(&b->found);
	for (size_t i = 0; b->ids && i < b->n_ids; i++)
		tokens_release(&b->ids[i]);
	mem_free(b->ids);
	for (int place = 0; place < PLACES; place++)
		mem_free(b->contexts[place]);
	mem_free(b->prompt);
	mem_free(b->tokens);
	mem_free(b->begins);
	mem_free(b->characters);
	mem_free(b->openings);
	mem_free(b->openers);
	rows_release(&b->rows);
	if (b->has_tuned)
		loaded_close(&b->tuned);
	if (b->has_base)
		loaded_close(&b->base);
}

int diff_behaviour(struct app *app, const struct behaviour_cmd *o, const char *base, const char *run, struct err *e)
{
	struct behaving b = { .app = app, .o = o, .began = clock_seconds() };
	int status = open_both(&b, base, run, e);

	if (status == 0)
		status = make_contexts(&b, e);
	if (status == 0)
		list_tokens(&b);
	if (status == 0)
		status = list_units(&b, e);
	if (status == 0)
		status = search(&b, e);
	if (status == 0)
		report(&b);
	release(&b);
	return status;
}
