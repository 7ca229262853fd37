// ExecuTorch's Module behind a C interface, for ctypes: its method `forward` with one float tensor in and one out.
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace executorch::extension::threadpool {  // the wheel holds the library, but not this header
class ThreadPool {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t threads);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

using executorch::extension::Module;

extern "C" {

int edgewise_threads(unsigned threads) {
  auto* pool = executorch::extension::threadpool::get_threadpool();
  pool->_unsafe_reset_threadpool(threads);
  return static_cast<int>(pool->get_thread_count());
}

// Returns an error's number, 0 for none; gives the module and how many floats it answers with at most.
int edgewise_load(const char* path, void** loaded, size_t* floats) {
  auto* module = new Module(path, Module::LoadMode::Mmap);
  *loaded = module;
  if (auto error = module->load_forward(); error != executorch::runtime::Error::Ok) return static_cast<int>(error);
  auto meta = module->method_meta("forward");
  if (!meta.ok()) return static_cast<int>(meta.error());
  auto output = meta->output_tensor_meta(0);
  if (!output.ok()) return static_cast<int>(output.error());
  *floats = output->nbytes() / sizeof(float);
  return 0;
}

// Puts the answer into `logits`, which has room for `floats` of them, and gives how many there are.
int edgewise_run(void* loaded, float* image, const int32_t* shape, size_t dimensions, float* logits, size_t* floats) {
  std::vector<executorch::aten::SizesType> sizes(shape, shape + dimensions);
  auto answer = static_cast<Module*>(loaded)->forward(*executorch::extension::from_blob(image, sizes));
  if (!answer.ok()) return static_cast<int>(answer.error());
  auto found = answer->at(0).toTensor();
  *floats = std::min(*floats, static_cast<size_t>(found.numel()));
  std::memcpy(logits, found.const_data_ptr<float>(), *floats * sizeof(float));
  return 0;
}

}  // extern "C"
