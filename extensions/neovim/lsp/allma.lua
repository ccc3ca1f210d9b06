return require("allma.server").config()
