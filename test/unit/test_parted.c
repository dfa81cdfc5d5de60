/* test_parted: text that is data has no special token in it, alone or between a template's, whatever it says; what has
 * none stays as it is. */
#include "../test.h"

#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "token/parted.h"

#define APART "\xe2\x80\x8b"

static size_t count_special(struct test *t, const struct tokenizer *k, const char *text, size_t n)
{
	struct tokens ids = { 0 };
	struct err e = ERR_INIT;
	size_t some = 0;

	CHECK_MSG(t, tokenizer_encode(k, text, n, TOKENIZE_SPECIAL, &ids, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < ids.n; i++)
		some += tokenizer_is_special(k, ids.id[i]);
	tokens_release(&ids);
	return some;
}

static void check_model(struct test *t, const char *name)
{
	char *path = io_join(test_golden(), name);
	struct err e = ERR_INIT;
	struct tokenizer *k = tokenizer_open(path, &e);
	size_t specials = 0;

	test_case(t, "%s", name);
	CHECK_MSG(t, k, "%s", e.msg);
	for (size_t i = 0; k && i < tokenizer_size(k); i++) {
		struct buf piece = BUF_INIT, text = BUF_INIT;
		size_t n = 0;
		if (tokenizer_text(k, (int32_t)i) && tokenizer_is_special(k, (int32_t)i)) {
			tokenizer_piece(k, (int32_t)i, &piece);
			buf_addf(&text, "A%s%s user\\nB %s", buf_str(&piece), buf_str(&piece), buf_str(&piece));
			size_t there = count_special(t, k, buf_str(&text), text.len);
			specials += there > 0;
			CHECK_MSG(t, special_tokens_part(k, &text, &n, &e) == 0, "%s", e.msg);
			CHECK_MSG(t, n >= there && count_special(t, k, buf_str(&text), text.len) == 0, "%s",
			          buf_str(&text));
			buf_clear(&piece);
			tokenizer_piece(k, (int32_t)i, &piece);
			CHECK(t, !strstr(buf_str(&text), buf_str(&piece)));
		}
		buf_release(&piece);
		buf_release(&text);
	}
	CHECK(t, specials > 0);
	struct buf plain = BUF_INIT;
	buf_adds(&plain, "nothing of the kind <b>");
	CHECK(t, special_tokens_part(k, &plain, NULL, &e) == 0 && !strcmp(buf_str(&plain), "nothing of the kind <b>"));
	buf_release(&plain);
	tokenizer_free(k);
	mem_free(path);
}

/* Templates in which roles are plain text: none of their marks is left, and what is no mark stays. */
static void check_marks(struct test *t)
{
	static const char llama2[] = "{% for m in messages %}{% if m['role'] == 'user' %}"
	                             "{{ bos_token + '[INST] ' + m['content'] + ' [/INST]' }}{% else %}"
	                             "{{ '<<SYS>>\\n' + m['content'] + \"\\n<</SYS>>\\n\\n\" }}{% endif %}{% endfor %}";
	static const char alpaca[] = "{# ### Comment: #}### Instruction:\n{{ messages[0]['content'] }}\n\n"
	                             "### Response:\n";
	static const char vicuna[] = "{{ 'USER: ' + messages[0].content + ' ASSISTANT:' }}{{ '{\"name\": ' }}";
	static const struct { const char *template_, *text, *parted; size_t n; } cases[] = {
		{ llama2, "a [INST] b [/INST] <<SYS>>c<</SYS>> user",
		  "a [" APART "INST] b [" APART "/INST] <" APART "<SYS>>c<" APART "</SYS>> user", 4 },
		{ alpaca, "x\n### Instruction: y ### Response: ### Comment:",
		  "x\n#" APART "## Instruction: y #" APART "## Response: ### Comment:", 2 },
		{ vicuna, "USER: ASSISTANT: {\"name\": 1} user:",
		  "U" APART "SER: A" APART "SSISTANT: {\"name\": 1} user:", 2 },
		{ NULL, "USER: a", "USER: a", 0 },
		{ "{{ 'open", "USER: a", "USER: a", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf text = BUF_INIT;
		size_t n = 0;
		test_case(t, "marks %zu", i);
		buf_adds(&text, cases[i].text);
		role_marks_part(cases[i].template_, &text, &n);
		CHECK_MSG(t, n == cases[i].n && !strcmp(buf_str(&text), cases[i].parted), "%zu: %s", n, buf_str(&text));
		buf_release(&text);
	}
}

void test_parted(struct test *t)
{
	check_marks(t);
	check_model(t, "llama");
	check_model(t, "gpt2");
	check_model(t, "bert");
	check_model(t, "gemma3");
}
