{
  # A thin bridge: node-gyp runs CMake. Every source and flag is in CMakeLists.txt.
  "targets": [
    {
      "target_name": "heddle",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["<(PRODUCT_DIR)/heddle.node"],
          "action": ["node", "tools/build-native.cjs", "--<(CONFIGURATION_NAME)", "--arch=<(target_arch)"]
        }
      ]
    }
  ]
}
