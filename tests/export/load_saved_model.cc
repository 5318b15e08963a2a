// Loads a SavedModel as TensorFlow Serving's binary does and answers texts, one a line: text, tab, score.
// Usage: load_saved_model MODEL [LIBRARY_OF_OPS ...] < texts

#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/c/c_api.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/public/session.h"
#include "tensorflow/core/public/session_options.h"

namespace tensorflow {
void DisableXlaCompilation();  // what the binary calls unless it is told otherwise
}

namespace {

int Fail(const std::string& message) {
  std::cerr << message << std::endl;
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return Fail("Usage: load_saved_model MODEL [LIBRARY_OF_OPS ...]");
  tensorflow::DisableXlaCompilation();
  TF_Status* loaded = TF_NewStatus();
  for (int i = 2; i < argc; ++i) {
    TF_LoadLibrary(argv[i], loaded);
    if (TF_GetCode(loaded) != TF_OK) return Fail(TF_Message(loaded));
  }
  TF_DeleteStatus(loaded);

  tensorflow::SavedModelBundle bundle;
  auto status = tensorflow::LoadSavedModel(tensorflow::SessionOptions(), tensorflow::RunOptions(), argv[1],
                                           {"serve"}, &bundle);
  if (!status.ok()) return Fail(status.ToString());
  const auto& signatures = bundle.GetSignatures();
  const auto found = signatures.find("serving_default");
  if (found == signatures.end()) return Fail("The SavedModel has no serving_default.");

  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);) lines.push_back(line);
  tensorflow::Tensor texts(tensorflow::DT_STRING, {static_cast<int64_t>(lines.size())});
  for (size_t i = 0; i < lines.size(); ++i) texts.vec<tensorflow::tstring>()(i) = lines[i];

  std::vector<tensorflow::Tensor> outputs;
  const auto& signature = found->second;
  status = bundle.session->Run({{signature.inputs().at("text").name(), texts}},
                               {signature.outputs().at("text").name(), signature.outputs().at("score").name()},
                               {}, &outputs);
  if (!status.ok()) return Fail(status.ToString());
  std::cout.precision(9);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::cout << outputs[0].vec<tensorflow::tstring>()(i) << '\t' << outputs[1].vec<float>()(i) << '\n';
  }
  return 0;
}
