/* train: the row of a kind by its name, and what rows share. */
#include "token/train.h"

#include <string.h>

#include "base/mem.h"

bool token_trainer_rows(size_t i, struct opt_row *out)
{
	const struct token_trainer *r = token_trainer_table[i];

	if (!r)
		return false;
	*out = (struct opt_row){ .name = r->name, .summary = r->summary, .standard = r->standard, .opts = r->opts,
		                 .options_size = r->options_size };
	return true;
}

static const struct token_trainer *row_of(const char *name, struct err *e)
{
	struct buf names = BUF_INIT;
	const struct token_trainer *const *r = token_trainer_table;

	for (; *r && strcmp((*r)->name, name) != 0; r++)
		buf_addf(&names, "%s%s", names.len ? ", " : "", (*r)->name);
	if (!*r)
		err_set(e, "\"%.64s\" is no kind of tokenizer that is trained (%s are)", name, buf_str(&names));
	buf_release(&names);
	return *r;
}

/* What has no options of the caller's gets what they are when nobody sets them. */
static json_t *train_row(const struct token_trainer *row, const struct token_training *t, const void *options,
                         struct token_texts *texts, json_t *config, struct token_train_report *r, struct err *e)
{
	struct opt_parse p = { 0 };
	void *defaults = options ? NULL : mem_alloc(MAX(row->options_size, (size_t)1));
	json_t *made = NULL;

	if (options || opt_begin(&p, row->opts, defaults, e) == 0)
		made = row->train(t, options ? options : defaults, texts, config, r, e);
	if (!options)
		opt_release(&p);
	mem_free(defaults);
	return made;
}

struct tokenizer *token_train(const char *model_type, const struct token_training *t, const void *options,
                              struct token_texts *texts, struct token_train_report *report, struct err *e)
{
	const struct token_trainer *row = row_of(model_type, e);
	struct token_train_report own = { 0 }, *r = report ? report : &own;
	json_t *config = json_pack("{s:b,s:s}", "clean_up_tokenization_spaces", 0, "tokenizer_class",
	                           "PreTrainedTokenizerFast");
	struct tokenizer *made = NULL;

	*r = (struct token_train_report){ 0 };
	if (t->end_of_text)
		json_object_set_new(config, "eos_token", json_string(t->end_of_text));
	json_t *j = row ? train_row(row, t, options, texts, config, r, e) : NULL;
	if (j)
		made = tokenizer_from_json(j, config, "the trained tokenizer", e);
	if (made)
		r->entries = tokenizer_size(made);
	json_decref(j);
	json_decref(config);
	return made;
}

struct tokenizer *token_train_bytes(const struct token_training *t, struct token_texts *texts,
                                    struct token_train_report *report, struct err *e)
{
	return token_train("bpe", t, NULL, texts, report, e);
}

struct tokenizer *token_train_bert(const struct token_training *t, struct token_texts *texts,
                                   struct token_train_report *report, struct err *e)
{
	const struct token_trainer *row = row_of("wordpiece", e);
	struct tokenizer *made = NULL;
	struct opt_parse p;

	if (!row)
		return NULL;
	void *options = mem_alloc(row->options_size);
	if (opt_begin(&p, row->opts, options, e) == 0 && opt_assign(&p, "cls-sep", "true", e) == 0)
		made = token_train(row->name, t, options, texts, report, e);
	opt_release(&p);
	mem_free(options);
	return made;
}

const char **token_train_special(const struct token_training *t, size_t *n)
{
	const char **out = mem_array(t->n_special + 1, sizeof(*out));
	bool has = !t->end_of_text;

	for (size_t i = 0; i < t->n_special; i++)
		has |= t->end_of_text && !strcmp(t->special[i], t->end_of_text);
	*n = 0;
	if (!has)
		out[(*n)++] = t->end_of_text;
	for (size_t i = 0; i < t->n_special; i++)
		out[(*n)++] = t->special[i];
	return out;
}

void token_train_progress(const struct token_training *t, const char *what, uint64_t done, uint64_t all)
{
	if (t->progress)
		t->progress(t->progress_ctx, what, done, all);
}

size_t token_train_memory(const struct token_training *t)
{
	return t->memory ? t->memory : mem_available();
}

json_t *token_train_added(const struct token_training *t)
{
	json_t *list = json_array();
	size_t n;
	const char **special = token_train_special(t, &n);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:I,s:s,s:b,s:b,s:b,s:b,s:b}", "id", (json_int_t)i, "content",
		                                      special[i], "single_word", 0, "lstrip", 0, "rstrip", 0,
		                                      "normalized", 0, "special", 1));
	mem_free((void *)special);
	return list;
}
