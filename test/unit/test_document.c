/* Documents of every shape of rows, written out with what is learnt between « and »; and the laws that all of them
 * obey. */
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "data/chat.h"
#include "../test.h"

struct bench {
	struct tokenizer *tokenizer;
	struct template *template_;
	struct document_options options;
	struct rows rows;
	struct documents docs;
	struct err e;
};

static struct tokenizer *load_tokenizer(struct test *t, const char *name, bool add_bos)
{
	struct err e = ERR_INIT;
	char *dir = io_join(test_golden(), name), *path = io_join(dir, "tokenizer.json"),
	     *config_path = io_join(dir, "tokenizer_config.json");
	json_t *j = jsonx_load_file(path, &e), *config = jsonx_load_file(config_path, &e);
	if (add_bos)
		json_object_set_new(j, "post_processor",
		                    json_loads("{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
		                               "\"<|begin|>\"}},{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{"
		                               "\"<|begin|>\":{\"ids\":[1]}}}", 0, NULL));
	struct tokenizer *tokenizer = tokenizer_from_json(j, config, path, &e);
	CHECK_MSG(t, tokenizer, "%s", e.msg);
	json_decref(j);
	json_decref(config);
	mem_free(dir);
	mem_free(path);
	mem_free(config_path);
	return tokenizer;
}

/* source: NULL for none. */
static void bench_open(struct test *t, struct bench *b, const char *name, bool add_bos, const char *source)
{
	struct err e = ERR_INIT;
	*b = (struct bench){ .tokenizer = load_tokenizer(t, name, add_bos), .options = { .max_length = 1024 } };
	if (source && !(b->template_ = template_parse(source, &e)))
		CHECK_MSG(t, false, "%s", e.msg);
}

static void bench_clear(struct bench *b)
{
	documents_release(&b->docs);
	rows_release(&b->rows);
	b->e = (struct err)ERR_INIT;
}

static void bench_close(struct bench *b)
{
	bench_clear(b);
	template_free(b->template_);
	tokenizer_free(b->tokenizer);
}

static int make(struct test *t, struct bench *b, const char *text)
{
	struct text_codec c = { b->tokenizer, b->template_ };
	char *path = io_join(test_tmp(), "documents.jsonl");
	bench_clear(b);
	CHECK(t, io_write(path, text, strlen(text), &b->e) == 0);
	int status = rows_load(&b->rows, path, &b->e);
	CHECK_MSG(t, status == 0, "%s", b->e.msg);
	if (!status)
		status = documents_make(&b->docs, &b->rows, &c, &b->options, &b->e);
	mem_free(path);
	return status;
}

/* What must hold of any documents. */
static void check_laws(struct test *t, const struct bench *b)
{
	size_t tokens = 0, learnt = 0;
	for (size_t i = 0; i < b->docs.n; i++) {
		const struct document *d = &b->docs.items[i];
		int32_t n = 0;
		for (int32_t k = 0; k < d->n; k++)
			n += d->learn[k];
		CHECK(t, d->n >= 1 && d->n <= b->options.max_length && d->learn[0] == 0 && n == d->n_learn);
		CHECK(t, !b->options.packing || d->n == b->options.max_length);
		tokens += (size_t)d->n;
		learnt += (size_t)n;
	}
	CHECK(t, tokens == b->docs.tokens && learnt == b->docs.learnt);
}

static void write_document(const struct bench *b, const struct document *d, struct buf *out)
{
	for (int32_t i = 0; i < d->n; i++) {
		bool before = i > 0 && d->learn[i - 1];
		buf_adds(out, d->learn[i] && !before ? "«" : before && !d->learn[i] ? "»" : "");
		tokenizer_piece(b->tokenizer, d->ids[i], out);
	}
	buf_adds(out, d->n && d->learn[d->n - 1] ? "»" : "");
}

/* All documents, a line end as ⏎, separated by |. */
static void check_documents(struct test *t, struct bench *b, const char *rows, const char *wanted)
{
	struct buf out = BUF_INIT, shown = BUF_INIT;
	CHECK_MSG(t, make(t, b, rows) == 0, "%s", b->e.msg);
	check_laws(t, b);
	for (size_t i = 0; i < b->docs.n; i++) {
		buf_adds(&out, i ? "|" : "");
		write_document(b, &b->docs.items[i], &out);
	}
	for (size_t i = 0; i < out.len; i++)
		out.data[i] == '\n' ? buf_adds(&shown, "⏎") : buf_addc(&shown, out.data[i]);
	CHECK_MSG(t, strcmp(buf_str(&shown), wanted) == 0, "%s\n  became %s\n  wanted %s", rows, buf_str(&shown),
	          wanted);
	buf_release(&out);
	buf_release(&shown);
}

static void check_refused(struct test *t, struct bench *b, const char *rows, const char *what)
{
	CHECK_MSG(t, make(t, b, rows) < 0, "%s was not refused", rows);
	CHECK_MSG(t, strstr(b->e.msg, "documents.jsonl:1: ") && strstr(b->e.msg, what), "\"%s\", wanted \"%s\"",
	          b->e.msg, what);
	CHECK(t, b->docs.n == 0 && !b->docs.items);
}

/* --- without a template --- */

static void test_pairs(struct test *t)
{
	struct bench b;
	bench_open(t, &b, "llama", false, NULL);

	test_case(t, "prompt,completion: no template, an EOS");
	check_documents(t, &b, "{\"prompt\": \"Which section?\", \"completion\": \" games\"}\n",
	                "Which section?« games<|end|>»");
	check_documents(t, &b, "{\"prompt\": \"a\", \"completion\": \"b<|end|>\"}\n", "a«b<|end|>»");
	check_documents(t, &b, "{\"prompt\": \"a<|end|>\", \"completion\": \"\"}\n", "a<|end|>«<|end|>»");
	check_documents(t, &b, "{\"prompt\": \"\", \"completion\": \"nd of\"}\n", "nd« of<|end|>»");

	test_case(t, "the prompt's ids are those of the prompt alone");
	/* Together " the" would be one token, and "the" begins as " the" does not: the prompt's last token stays by
	 * itself. */
	check_documents(t, &b,
	                "{\"prompt\": \"is \", \"completion\": \"the\"}\n{\"prompt\": \"t\", \"completion\": \"he\"}\n",
	                "is «the<|end|>»|t«he<|end|>»");
	struct tokens alone = { 0 };
	CHECK(t, tokenizer_encode(b.tokenizer, "is ", 3, TOKENIZE_SPECIAL, &alone, &b.e) == 0);
	CHECK(t, alone.n < (size_t)b.docs.items[0].n &&
	                 memcmp(alone.id, b.docs.items[0].ids, alone.n * sizeof(*alone.id)) == 0);
	tokens_release(&alone);

	test_case(t, "too long: the head is kept");
	b.options.max_length = 6;
	check_documents(
		t, &b,
		"{\"prompt\": \"0123\", \"completion\": \"45678\"}\n{\"prompt\": \"0\", \"completion\": \"1234\"}\n",
		"0123«45»|0«1234<|end|>»");
	CHECK(t, b.docs.n_truncated == 1 && b.docs.items[0].n_cut == 4 && b.docs.items[1].n_cut == 0);

	test_case(t, "mixed and empty pairs are refused");
	check_refused(t, &b, "{\"prompt\": \"a\", \"completion\": []}\n", "wanted both the same");
	check_refused(t, &b,
	              "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}], \"completion\": [{\"role\": "
	              "\"assistant\", \"content\": \"a\"}]}\n",
	              "no chat template");
	check_refused(t, &b, "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n", "no chat template");
	bench_close(&b);
}

static void test_roles(struct test *t)
{
	struct bench b;
	bench_open(t, &b, "llama", false, NULL);

	test_case(t, "prompt,chosen,rejected: two documents of one group, the prompt's ids the same in both");
	check_documents(t, &b, "{\"prompt\": \"is \", \"chosen\": \"the\", \"rejected\": \"a\"}\n",
	                "is «the<|end|>»|is «a<|end|>»");
	CHECK(t, b.docs.items[0].role == 0 && b.docs.items[1].role == 1);
	CHECK(t, !b.docs.items[0].joined && b.docs.items[1].joined && b.docs.items[0].choice < 0);
	check_refused(t, &b, "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": []}\n", "rejected: prompt and");
	b.options.packing = true;
	CHECK(t, make(t, &b, "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n") < 0);
	CHECK_MSG(t, strstr(b.e.msg, "prompt,chosen,rejected have roles"), "%s", b.e.msg);
	b.options.packing = false;
	check_documents(t, &b, "{\"prompt\": \"a\", \"completion\": \"b\", \"label\": false}\n", "a«b<|end|>»");
	CHECK(t, b.docs.items[0].role == 1 && !b.docs.items[0].joined);
	check_documents(t, &b, "{\"prompt\": \"a b\"}\n", "a b");
	bench_close(&b);
}

static void test_texts(struct test *t)
{
	struct bench b;
	bench_open(t, &b, "llama", false, NULL);

	test_case(t, "text: all is learnt, the EOS too");
	check_documents(t, &b, "{\"text\": \"0123\"}\n", "0«123<|end|>»");
	check_documents(t, &b, "{\"text\": \"\"}\n", "<|end|>");

	test_case(t, "long text: each token but the first is learnt once");
	b.options.max_length = 4;
	check_documents(t, &b, "{\"text\": \"012\"}\n", "0«12<|end|>»");
	check_documents(t, &b, "{\"text\": \"0123\"}\n", "0«123»|3«<|end|>»");
	check_documents(t, &b, "{\"text\": \"012345678\"}\n", "0«123»|3«456»|6«78<|end|>»");
	CHECK(t, b.docs.n_split == 2 && b.docs.n_truncated == 0 && b.docs.learnt == 9);
	b.options.max_length = 2;
	check_documents(t, &b, "{\"text\": \"01\"}\n", "0«1»|1«<|end|>»");

	test_case(t, "packing: rows of exactly max-length, those with nothing to train on left out");
	b.options.max_length = 4;
	b.options.packing = true;
	check_documents(t, &b, "{\"text\": \"01\"}\n{\"text\": \"234\"}\n{\"text\": \"5\"}\n",
	                "0«1<|end|>»2|3«4<|end|>»5");
	check_documents(
		t, &b,
		"{\"prompt\": \"01234567\", \"completion\": \"89\"}\n{\"prompt\": \"a\", \"completion\": \"b\"}\n",
		"8«9<|end|>»a");
	CHECK(t, b.docs.items[0].line == 1 && b.docs.n_truncated == 0 && b.docs.n_split == 0);
	check_documents(t, &b, "{\"text\": \"0\"}\n", "");
	bench_close(&b);
}

static void test_bos(struct test *t)
{
	struct bench b;
	bench_open(t, &b, "llama", true, NULL);

	test_case(t, "BOS: once, where the tokenizer adds one");
	check_documents(t, &b, "{\"text\": \"01\"}\n{\"text\": \"<|begin|>01\"}\n",
	                "<|begin|>«01<|end|>»|<|begin|>«01<|end|>»");
	check_documents(t, &b, "{\"prompt\": \"0\", \"completion\": \"1\"}\n", "<|begin|>0«1<|end|>»");
	check_documents(t, &b, "{\"query\": \"0\", \"choices\": [\"1\"], \"gold\": 0}\n", "<|begin|>0« 1<|end|>»");
	bench_close(&b);

	bench_open(t, &b, "llama", true, "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}");
	check_documents(t, &b,
	                "{\"messages\": [{\"role\": \"user\", \"content\": \"0\"}, {\"role\": \"assistant\", "
	                "\"content\": \"1<|end|>\"}]}\n",
	                "<|begin|>0«1<|end|>»");
	b.options.apply_chat_template = b.options.eval_choices = true;
	check_documents(t, &b, "{\"query\": \"0\", \"choices\": [\"1\"], \"gold\": 0}\n", "<|begin|>0«1»");
	bench_close(&b);
}

static void test_alpaca(struct test *t)
{
	struct bench b;
	bench_open(t, &b, "gpt2", false, NULL);
	test_case(t, "instruction: Alpaca's text without a template");
	check_documents(t, &b,
	                "{\"instruction\": \"Add.\", \"input\": \"1 2\", \"output\": \"3\"}\n{\"instruction\": "
	                "\"Sing.\", \"output\": \"la\"}\n",
	                "Below is an instruction that describes a task, paired with an input that provides further "
	                "context. Write a response that appropriately "
	                "completes the request.⏎⏎### Instruction:⏎Add.⏎⏎### Input:⏎1 2⏎⏎### Response:«3<|endoftext|>»|"
	                "Below is an instruction that describes a task. Write a response that appropriately completes "
	                "the request.⏎⏎### Instruction:⏎Sing.⏎⏎"
	                "### Response:«la<|endoftext|>»");
	check_refused(t, &b, "{\"instruction\": \"Add.\", \"input\": [1, 2], \"output\": \"3\"}\n", "input");
	check_documents(t, &b, "{\"instruction\": \"x\", \"input\": null, \"output\": \"y\"}\n",
	                "Below is an instruction that describes a task. Write a response that appropriately completes "
	                "the request.⏎⏎### Instruction:⏎x⏎⏎"
	                "### Response:«y<|endoftext|>»");
	bench_close(&b);
}

static void test_choices(struct test *t)
{
	struct bench b;
	const char *row = "{\"query\": \"Which?\", \"choices\": [\"games\", \"é mail\"], \"gold\": 1}\n";
	bench_open(t, &b, "llama", false, NULL);

	test_case(t, "choices: the gold one is learnt, with an EOS");
	check_documents(t, &b, row, "Which?« é mail<|end|>»");
	CHECK(t, b.docs.items[0].choice == -1);

	test_case(t, "choices: every one is scored, without");
	b.options.eval_choices = true;
	check_documents(t, &b, row, "Which?« games»|Which?« é mail»");
	CHECK(t, b.docs.items[0].choice == 0 && b.docs.items[0].choice_chars == 5);
	CHECK(t, b.docs.items[1].choice == 1 && b.docs.items[1].choice_chars == 6);

	test_case(t, "choices: white space at the query's end belongs to the answer");
	check_documents(t, &b, "{\"query\": \"a \\n\", \"choices\": [\"b\"], \"gold\": 0}\n", "a« ⏎ b»");
	check_documents(t, &b, "{\"query\": \" \", \"choices\": [\"b\"], \"gold\": 0}\n", "<|begin|>«  b»");
	bench_close(&b);
}

/* --- with a template --- */

static const char chatml[] =
	"{% for m in messages %}{{ '<|begin|>' + m['role'] + '\n' + m['content'] + '<|end|>' + '\n' }}{% endfor %}"
	"{% if add_generation_prompt %}{{ '<|begin|>assistant\n' }}{% endif %}";

static void test_chat(struct test *t)
{
	struct bench b;
	const char *turns =
		"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": "
	        "\"b\"}, "
		"{\"role\": \"user\", \"content\": \"c\"}, {\"role\": \"assistant\", \"content\": \" d \"}]}\n";
	bench_open(t, &b, "llama", false, chatml);

	test_case(t, "messages: every answer with its end, not the line break after it");
	check_documents(t, &b, turns,
	                "<|begin|>user⏎a<|end|>⏎<|begin|>assistant⏎«b<|end|>»⏎<|begin|>user⏎c<|end|>⏎<|begin|>"
	                "assistant⏎« d <|end|>»⏎");
	check_documents(t, &b, "{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}\n",
	                "<|begin|>assistant⏎«a<|end|>»⏎");
	check_documents(t, &b, "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n",
	                "<|begin|>user⏎a<|end|>⏎");
	check_documents(t, &b,
	                "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
	                "\"content\": \"\"}]}\n",
	                "<|begin|>user⏎a<|end|>⏎<|begin|>assistant⏎«<|end|>»⏎");
	check_documents(t, &b,
	                "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
	                "\"content\": \"x<|end|>y\"}]}\n",
	                "<|begin|>user⏎a<|end|>⏎<|begin|>assistant⏎«x<|end|>y<|end|>»⏎");

	test_case(t, "conversations");
	check_documents(t, &b,
	                "{\"conversations\": [{\"from\": \"system\", \"value\": \"s\"}, {\"from\": \"human\", "
	                "\"value\": \"a\"}, {\"from\": \"gpt\", \"value\": \"b\"}]}\n",
	                "<|begin|>system⏎s<|end|>⏎<|begin|>user⏎a<|end|>⏎<|begin|>assistant⏎«b<|end|>»⏎");
	check_refused(t, &b,
	              "{\"conversations\": [{\"from\": \"human\", \"value\": \"a\"}, {\"from\": \"bird\", \"value\": "
	              "\"b\"}]}\n",
	              "turn 2: from is \"bird\"");
	check_refused(t, &b, "{\"conversations\": [{\"from\": \"human\"}]}\n", "turn 1");
	check_refused(t, &b, "{\"conversations\": [7]}\n", "message 1 is 7");
	check_refused(t, &b, "{\"messages\": [7]}\n", "message 1 is 7");
	check_refused(t, &b, "{\"messages\": []}\n", "a list of messages");

	test_case(t, "instruction: instruction and input are the user's turn");
	check_documents(t, &b, "{\"instruction\": \"a\", \"input\": \"b\", \"output\": \"c\", \"system\": \"s\"}\n",
	                "<|begin|>system⏎s<|end|>⏎<|begin|>user⏎a⏎b<|end|>⏎<|begin|>assistant⏎«c<|end|>»⏎");
	check_documents(t, &b, "{\"instruction\": \"a\", \"input\": \"\", \"output\": \"c\"}\n",
	                "<|begin|>user⏎a<|end|>⏎<|begin|>assistant⏎«c<|end|>»⏎");

	test_case(t, "prompt,completion as messages: answers in the prompt are not learnt; as texts: no template");
	check_documents(t, &b,
	                "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
	                "\"content\": \"b\"}, {\"role\": \"user\", \"content\": \"c\"}], "
	                "\"completion\": [{\"role\": \"assistant\", \"content\": \"d\"}]}\n",
	                "<|begin|>user⏎a<|end|>⏎<|begin|>assistant⏎b<|end|>⏎<|begin|>user⏎c<|end|>⏎<|begin|>"
	                "assistant⏎«d<|end|>»⏎");
	check_documents(t, &b, "{\"prompt\": \"a\", \"completion\": \"b\"}\n", "a«b<|end|>»");

	test_case(t, "choices with the template");
	b.options.apply_chat_template = true;
	check_documents(t, &b, "{\"query\": \"q\", \"choices\": [\"x\", \"y\"], \"gold\": 1}\n",
	                "<|begin|>user⏎q<|end|>⏎<|begin|>assistant⏎«y<|end|>»⏎");
	b.options.eval_choices = true;
	check_documents(t, &b, "{\"query\": \"q\", \"choices\": [\"x\", \"y\"], \"gold\": 1}\n",
	                "<|begin|>user⏎q<|end|>⏎<|begin|>assistant«⏎x»|<|begin|>user⏎q<|end|>⏎<|begin|>assistant«⏎y»");
	bench_close(&b);
}

static void test_generation_spans(struct test *t)
{
	struct bench b;
	bench_open(t, &b, "llama", false,
	           "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{% generation %}{{ m.content "
	           "}}<|end|>{% endgeneration %}{% else %}{{ m.content }}"
	           "{% endif %}{{ '\n' }}{% endfor %}");
	test_case(t, "the template's own generation spans");
	check_documents(t, &b,
	                "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
	                "\"content\": \"b\"}, {\"role\": \"assistant\", \"content\": \"c\"}]}\n",
	                "user:a⏎assistant:«b<|end|>»⏎assistant:«c<|end|>»⏎");
	check_documents(t, &b,
	                "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
	                "\"content\": \"b\"}], "
	                "\"completion\": [{\"role\": \"assistant\", \"content\": \"c\"}]}\n",
	                "user:a⏎assistant:b<|end|>⏎assistant:«c<|end|>»⏎");
	bench_close(&b);
}

static void test_rewriting_templates(struct test *t)
{
	struct bench b;
	const char *row = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
	                  "\"content\": \"b\"}, "
			  "{\"role\": \"user\", \"content\": \"c\"}, {\"role\": \"assistant\", \"content\": \"d\"}]}\n";

	test_case(t, "earlier answers written differently are not learnt, and counted");
	bench_open(t, &b, "llama", false,
	           "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' and loop.last %}(t){% endif %}{{ "
	           "m.content }}<|end|>{% endfor %}"
	           "{% if add_generation_prompt %}assistant:{% endif %}");
	check_documents(t, &b, row, "user:a<|end|>assistant:b<|end|>user:c<|end|>assistant:«(t)d<|end|>»");
	CHECK(t, b.docs.n_rewritten == 1);
	bench_close(&b);

	test_case(t, "an EOS at the end of every rendering takes no earlier answer away");
	bench_open(
		t, &b, "llama", false,
		"{% for m in messages %}{{ '<|begin|>' + m.role + ' ' + m.content + '<|end|>\n' }}{% endfor %}"
		"{% if add_generation_prompt %}{{ '<|begin|>assistant ' }}{% else %}{{ '<|endoftext|>' }}{% endif %}");
	check_documents(t, &b, row,
	                "<|begin|>user a<|end|>⏎<|begin|>assistant «b<|end|>»⏎<|begin|>user "
	                "c<|end|>⏎<|begin|>assistant «d<|end|>⏎<|endoftext|>»");
	CHECK(t, b.docs.n_rewritten == 0);
	bench_close(&b);

	test_case(t, "the last answer written differently than it is asked for is refused");
	bench_open(t, &b, "llama", false,
	           "{% for m in messages %}{{ m.role }}:{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt "
	           "%}assistant:<think>{% endif %}");
	check_refused(t, &b, row, "message 4, the assistant's last");
	bench_close(&b);

	test_case(t, "what the template says is passed on");
	bench_open(t, &b, "llama", false, "{{ raise_exception('no turns today') }}");
	check_refused(t, &b, row, "no turns today");
	bench_close(&b);
}

static void test_straddling_template(struct test *t)
{
	struct bench b;
	test_case(t, "a question that ends with a space keeps it: the answer is learnt whole");
	bench_open(t, &b, "llama", false,
	           "{% for m in messages %}{{ m.role + ': ' + m.content + '<|end|>' }}{% endfor %}{% if "
	           "add_generation_prompt %}{{ 'assistant: ' }}{% endif %}");
	check_documents(t, &b,
	                "{\"messages\": [{\"role\": \"user\", \"content\": \"the\"}, {\"role\": \"assistant\", "
	                "\"content\": \"the and of\"}, {\"role\": \"assistant\", \"content\": \"the\"}]}\n",
	                "user: the<|end|>assistant: «the and of<|end|>»assistant: «the<|end|>»");
	bench_close(&b);
}

/* Generation must see exactly the tokens that training put before the answer. */
static void test_prompt(struct test *t)
{
	struct bench b;
	struct tokens ids = { 0 };
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "Which section has games?");

	test_case(t, "the prompt of generation is the beginning of what was learnt");
	bench_open(t, &b, "llama", false, chatml);
	struct text_codec c = { b.tokenizer, b.template_ };
	struct conversation asked = { .messages = messages };
	CHECK_MSG(t, chat_prompt(&c, &asked, &ids, &text, &e) == 0, "%s", e.msg);
	CHECK(t, strcmp(buf_str(&text), "<|begin|>user\nWhich section has games?<|end|>\n<|begin|>assistant\n") == 0);
	CHECK(t, make(t, &b,
	              "{\"messages\": [{\"role\": \"user\", \"content\": \"Which section has games?\"}, {\"role\": "
	              "\"assistant\", \"content\": \"games\"}]}\n") == 0);
	const struct document *d = b.docs.items;
	CHECK(t, b.docs.n == 1 && ids.n < (size_t)d->n && memcmp(ids.id, d->ids, ids.n * sizeof(*ids.id)) == 0 &&
	                 d->learn[ids.n] && !d->learn[ids.n - 1]);
	tokens_release(&ids);
	buf_release(&text);
	json_decref(messages);
	bench_close(&b);
}

void test_document(struct test *t)
{
	test_pairs(t);
	test_roles(t);
	test_texts(t);
	test_bos(t);
	test_alpaca(t);
	test_choices(t);
	test_chat(t);
	test_generation_spans(t);
	test_rewriting_templates(t);
	test_straddling_template(t);
	test_prompt(t);
}
