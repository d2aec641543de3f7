import request, { TokenService } from "@/request/index";

export const login = async (username, password) => {
  const { data } = await request.post("/auth/login", {
    username,
    password,
  });

  // 登录成功后存储双 Token
  const { accessToken, refreshToken } = data;
  TokenService.setTokens(accessToken, refreshToken);

  return data;
};
