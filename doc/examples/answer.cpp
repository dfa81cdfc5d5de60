// answer: one question, the answer as it grows, from C++: handles freed by themselves, errors as exceptions.
//     c++ -std=c++17 answer.cpp $(pkg-config --cflags --libs kungfu) -o answer && ./answer MODEL "QUESTION"
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <kungfu.h>

namespace kungfu {

template <auto F> struct Free {
	template <typename T> void operator()(T *p) const { F(p); }
};
using Model = std::unique_ptr<kf_model, Free<kf_model_free>>;
using Session = std::unique_ptr<kf_session, Free<kf_session_free>>;

template <typename F, typename... Args> void call(F f, Args... args)
{
	kf_error error{};
	if (f(args..., &error) < 0)
		throw std::runtime_error(error.message);
}

Model open(const std::string &path)
{
	kf_model *m = nullptr;
	call(kf_model_open, &m, path.c_str());
	return Model(m);
}

Session converse(const Model &model)
{
	kf_session *s = nullptr;
	call(kf_session_new, &s, model.get(), static_cast<kf_adapter *>(nullptr), 0, static_cast<const kf_settings *>(nullptr));
	return Session(s);
}

std::vector<int32_t> prompt(const Model &model, const std::string &question)
{
	const kf_message message{ "user", question.c_str() };
	int32_t *ids = nullptr;
	size_t n = 0;
	call(kf_chat, model.get(), &message, size_t{ 1 }, &ids, &n);
	std::vector<int32_t> out(ids, ids + n);
	kf_free(ids);
	return out;
}

} // namespace kungfu

// Called from C: an exception must not leave it.
static int show(void *, const char *text, size_t n) noexcept
{
	return std::fwrite(text, 1, n, stdout) == n ? 0 : 1;
}

int main(int argc, char **argv)
try {
	if (argc != 3) {
		std::cerr << "usage: answer MODEL QUESTION\n";
		return 2;
	}
	const auto model = kungfu::open(argv[1]);
	const auto session = kungfu::converse(model);
	const auto ids = kungfu::prompt(model, argv[2]);
	kf_generate_options options{};
	kf_generation answer{};
	options.max_new_tokens = 32;
	options.on_text = show;
	kungfu::call(kf_session_generate, session.get(), ids.data(), ids.size(), &options, &answer);
	std::cout << std::endl;
	return 0;
} catch (const std::exception &e) {
	std::cerr << "answer: " << e.what() << "\n";
	return 1;
}
