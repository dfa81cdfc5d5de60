/* tokenizer_pair: what stands around and between two texts that are read as one, by a tokenizer.json's post_processor:
 *
 *     TemplateProcessing   as its "pair" has it, the text A before the text B
 *     BertProcessing       [CLS] A [SEP] B [SEP], of which B and what follows have type 1
 *     RobertaProcessing    <s> A </s> </s> B </s>, all of type 0
 *     nothing              A B, the second of type 1
 *
 * Where a file has no such word (a GGUF, a template without a pair): what is put around a text, once more around the
 * second, which has type 1, but that of BERT's form, with a token behind, the second has none in front. */
#include <string.h>

#include "token/tokenizer_parts.h"

struct taking {
	struct pair_around *out;
	const json_t *known;             /* special_tokens */
	int texts;
};

static void take(struct taking *t, const json_t *id)
{
	struct pair_around *p = t->out;
	int part = t->texts;

	if (json_is_integer(id) && p->n[part] < PAIR_TOKENS)
		p->ids[part][p->n[part]++] = (int32_t)json_integer_value(id);
}

/* −1: not A, then B. */
static int take_item(struct taking *t, const json_t *item)
{
	const json_t *text = json_object_get(item, "Sequence"), *token = json_object_get(item, "SpecialToken"), *id;
	const char *name = json_string_value(json_object_get(text ? text : token, "id"));
	bool second = json_integer_value(json_object_get(text ? text : token, "type_id")) == 1;
	size_t k;

	if (!name)
		return -1;
	if (text) {
		t->texts++;
		if (strcmp(name, t->texts == 1 ? "A" : "B") != 0 || t->texts > 2)
			return -1;
		t->out->typed |= t->texts == 2 && second;
		return 0;
	}
	t->out->early = t->out->early || (t->texts == 1 && second);
	json_array_foreach(json_object_get(json_object_get(t->known, name), "ids"), k, id)
		take(t, id);
	return 0;
}

static bool take_template(struct pair_around *out, const json_t *j)
{
	struct taking t = { .out = out, .known = json_object_get(j, "special_tokens") };
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(j, "pair"), i, item)
		if (take_item(&t, item) < 0)
			return false;
	return t.texts == 2;
}

static void put(struct pair_around *out, int part, const json_t *token)
{
	struct taking t = { .out = out, .texts = part };

	take(&t, json_array_get(token, 1));
}

static bool take_two(struct pair_around *out, const json_t *j, bool roberta)
{
	const json_t *cls = json_object_get(j, "cls"), *sep = json_object_get(j, "sep");

	put(out, 0, cls);
	put(out, 1, sep);
	if (roberta)
		put(out, 1, sep);
	put(out, 2, sep);
	out->typed = !roberta;
	return true;
}

/* Of several processors the one that knows of texts. */
static bool take_processor(struct pair_around *out, const json_t *j, int depth)
{
	const char *type = json_string_value(json_object_get(j, "type"));
	const json_t *list = json_object_get(j, "processors");
	bool found = false;

	if (!type)
		return false;
	for (size_t i = 0; !strcmp(type, "Sequence") && i < json_array_size(list) && depth < 16 && !found; i++)
		found = take_processor(out, json_array_get(list, i), depth + 1);
	if (!strcmp(type, "TemplateProcessing"))
		return take_template(out, j);
	if (!strcmp(type, "BertProcessing") || !strcmp(type, "RobertaProcessing"))
		return take_two(out, j, type[0] == 'R');
	return found;
}

static void copy(struct pair_around *out, int part, const struct tokens *ids)
{
	for (size_t i = 0; i < ids->n && out->n[part] < PAIR_TOKENS; i++)
		out->ids[part][out->n[part]++] = ids->id[i];
}

void tokenizer_pair(const struct tokenizer *t, struct pair_around *out)
{
	*out = (struct pair_around){ 0 };
	if (take_processor(out, json_object_get(t->rules, "post_processor"), 0))
		return;
	*out = (struct pair_around){ .typed = true };
	copy(out, 0, &t->front);
	copy(out, 1, t->back.n ? &t->back : &t->front);
	copy(out, 2, &t->back);
}
