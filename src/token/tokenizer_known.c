/* tokenizer_known: the tables. Sources: transformers 5.24's tokenization_utils_base.py and
 * tokenization_utils_tokenizers.py; tokenizers' tokenizer/serialization.rs. */
#include "token/tokenizer_known.h"

#define USED SETTING_USED
#define IS SETTING_IS
#define TOLD SETTING_TOLD
#define HARMLESS SETTING_HARMLESS

const struct setting tokenizer_config_known[] = {
	{ "add_bos_token", USED, "where there is no tokenizer.json", NULL },
	{ "add_eos_token", HARMLESS, "beside a tokenizer.json nobody reads it", NULL },
	{ "additional_special_tokens extra_special_tokens added_tokens_decoder chat_template tokenizer_class", USED,
	  "the tokenizer", NULL },
	{ "model_specific_special_tokens", USED, "the tokenizer, where no key *_token is beside it", NULL },
	{ "*_token", USED, "the tokenizer", NULL },
	{ "split_special_tokens", IS, "false", "false: special tokens are told from plain text by who writes them" },
	{ "fix_mistral_regex", IS, "false", NULL },
	{ "add_prefix_space do_lower_case strip_accents tokenize_chinese_chars do_basic_tokenize never_split "
	  "trim_offsets clean_up_tokenization_spaces "
	  "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output spaces_between_special_tokens "
	  "sp_model_kwargs legacy from_slow unk_id errors", HARMLESS, "tokenizer.json says it, or the kind does",
	  NULL },
	{ "model_max_length max_len max_length stride truncation_strategy truncation_side padding_side "
	  "pad_to_multiple_of pad_token_type_id padding truncation model_input_names return_token_type_ids",
	  HARMLESS, "how a caller's batches are cut and filled", NULL },
	{ "name_or_path special_tokens_map_file tokenizer_file vocab_file merges_file added_tokens_file is_local "
	  "local_files_only backend init_inputs auto_map processor_class use_fast use_default_system_prompt "
	  "transformers_version device_map padding_free verbose response_schema response_template "
	  "chat_control_tokens tokenizer_type unsloth_* *_token_id", HARMLESS, "what it is called and what made it",
	  NULL },
	{ 0 },
};

const struct setting tokenizer_json_known[] = {
	{ "version", IS, "1.0", NULL },
	{ "added_tokens normalizer pre_tokenizer post_processor decoder model", USED, "the tokenizer", NULL },
	{ "truncation padding", HARMLESS, "how a caller's batches are cut and filled", NULL },
	{ 0 },
};
